//! Servers behind streamable HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::any;
use clawhook_agent::McpTransport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

use super::*;

/// What came in: method, session and authorization.
type Log = Arc<Mutex<Vec<(Method, Option<String>, Option<String>)>>>;

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp?key={SECRET}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn at(url: &str) -> McpTransport {
    let headers = BTreeMap::from([("authorization".to_owned(), format!("Bearer {SECRET}").into())]);
    McpTransport::Http { url: url.parse().unwrap(), headers }
}

/// The scripted server, which loses its sessions once `gone` is cancelled.
async fn scripted_endpoint(script: &'static str, log: &Log, gone: CancellationToken) -> McpTransport {
    let service: StreamableHttpService<Scripted, LocalSessionManager> = StreamableHttpService::new(
        move || Ok(Scripted::new(script)),
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    let log = Arc::clone(log);
    let record = from_fn(move |request: Request, next: Next| {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        log.lock().unwrap().push((
            request.method().clone(),
            header("mcp-session-id"),
            header("authorization"),
        ));
        let gone = gone.is_cancelled();
        async move { if gone { StatusCode::NOT_FOUND.into_response() } else { next.run(request).await } }
    });
    at(&serve(Router::new().route_service("/mcp", service).layer(record)).await)
}

async fn endpoint(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> McpTransport {
    at(&serve(Router::new().route("/mcp", any(async move || answer()))).await)
}

#[tokio::test]
async fn a_session_is_opened_for_the_turn_and_ended_with_it() {
    let log = Log::default();
    let servers = servers([("s", scripted_endpoint("good", &log, CancellationToken::new()).await)], LONG);
    for _ in 0..2 {
        let tools = open(&servers, &agent(&["s__times", "s__fail"])).await.unwrap();
        assert_eq!(names(&*tools), ["s__fail", "s__times"]);
        assert_eq!(said(&*tools, "times", json!({})).await, "1");
        assert_eq!(said(&*tools, "times", json!({})).await, "2");
        assert!(call(&*tools, "fail", json!({})).await.is_error);
        tools.close().await;
    }
    let log = log.lock().unwrap();
    let sessions = |method: Method| -> Vec<_> {
        log.iter().filter(|entry| entry.0 == method).filter_map(|entry| entry.1.clone()).collect()
    };
    let ended = sessions(Method::DELETE);
    assert_eq!(ended.len(), 2);
    assert_ne!(ended[0], ended[1]);
    assert!(sessions(Method::POST).iter().all(|session| ended.contains(session)));
    assert!(log.iter().all(|entry| entry.2.as_deref() == Some(&format!("Bearer {SECRET}"))));
}

#[tokio::test]
async fn an_endpoint_that_knows_only_the_newest_protocol_is_understood() {
    let endpoint = scripted_endpoint("newest", &Log::default(), CancellationToken::new()).await;
    let tools = toolbox(endpoint, &["*"]).await;
    assert_eq!(said(&*tools, "sum", json!({"a": 1})).await, r#"{"sum":1}"#);
    tools.close().await;
}

#[tokio::test]
async fn an_endpoint_that_loses_its_session_makes_its_tools_fail_and_is_not_asked_for_another() {
    let (log, gone) = (Log::default(), CancellationToken::new());
    let servers = servers([("s", scripted_endpoint("good", &log, gone.clone()).await)], LONG);
    let tools = open(&servers, &agent(&["*"])).await.unwrap();
    assert_eq!(said(&*tools, "times", json!({})).await, "1");
    gone.cancel();
    let answer = call(&*tools, "times", json!({})).await;
    assert!(answer.is_error);
    assert_eq!(answer.text, "the tool server `s` did not answer: Session expired (HTTP 404)");
    let without_session = log.lock().unwrap().iter().filter(|entry| entry.1.is_none()).count();
    assert_eq!(without_session, 1, "a session was begun once");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_used_says_why_and_shows_no_secret() {
    let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = at(&format!("http://{refusing}/mcp?key={SECRET}"));
    let unauthorized =
        endpoint(|| (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]).into_response()).await;
    let broken = endpoint(|| StatusCode::SERVICE_UNAVAILABLE.into_response()).await;
    let page = endpoint(|| "<html>hello</html>".into_response()).await;
    let telling = endpoint(|| (StatusCode::BAD_REQUEST, format!("who is {SECRET}?")).into_response()).await;
    for (server, expected) in [
        (refused, "Connection refused"),
        (unauthorized, "it wants to be told who asks (HTTP 401)"),
        (broken, "HTTP 503"),
        (page, "text/plain"),
        (telling, "who is ***?"),
    ] {
        let error = error_of(server, LONG).await;
        let text = error.to_string();
        assert!(
            text.starts_with("the tool server `s` cannot be used: ") && text.contains(expected),
            "{text}"
        );
        assert!(!format!("{error:?} {text}").contains(SECRET), "{error:?}");
        assert_eq!(error.reason(), ErrorReason::Unavailable);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let log = Log::default();
    let McpTransport::Http { url, .. } = scripted_endpoint("good", &log, CancellationToken::new()).await
    else {
        unreachable!()
    };
    let redirecting = endpoint(move || Redirect::temporary(url.as_str()).into_response()).await;
    error_of(redirecting, LONG).await;
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let error = error_of(at(&url), Duration::from_millis(200)).await;
    assert_eq!(error.to_string(), "the tool server `s` has not told its tools within 200ms");
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_named() {
    let headers = BTreeMap::from([("x-key".to_owned(), format!("{SECRET}\n").into())]);
    let server = McpTransport::Http { url: "http://127.0.0.1:9/mcp".parse().unwrap(), headers };
    let error = error_of(server, LONG).await;
    assert_eq!(error.to_string(), "the header `x-key` of the tool server `s` is not one that HTTP can carry");
}
