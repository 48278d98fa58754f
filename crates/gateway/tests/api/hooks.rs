//! The door of inbound hooks, held to the answers that OpenClaw was recorded with (contract §5).

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::TestGateway;

const TOKEN: &str = "hook-token-of-the-tests";

/// A gateway whose one model says the same to everybody, with these members of `hooks` beside the token.
async fn gateway(hooks: &str) -> TestGateway {
    let model = model().await;
    TestGateway::start(&format!(
        r#"{{
        models: {{ providers: {{ local: {{ baseUrl: "{model}/v1", api: "openai-completions" }} }} }},
        agents: {{ defaults: {{ model: "local/tiny" }}, entries: {{ main: {{}}, sales: {{}} }} }},
        hooks: {{ enabled: true, token: "{TOKEN}", {hooks} }},
    }}"#
    ))
    .await
}

/// A model that answers everything with the same words.
async fn model() -> String {
    async fn answer() -> ([(&'static str, &'static str); 1], &'static str) {
        let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"All is well.\"}}]}\n\n\
                      data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n\
                      data: [DONE]\n\n";
        ([("content-type", "text/event-stream")], stream)
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let app = Router::new().route("/v1/chat/completions", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// An answer as it came.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    #[track_caller]
    fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.text.as_str()), (status, body), "{:?}", self.headers);
        let is_json = body.starts_with('{');
        let expected = if is_json { "application/json; charset=utf-8" } else { "text/plain; charset=utf-8" };
        assert_eq!(self.headers["content-type"], expected);
    }
}

async fn send(
    gateway: &TestGateway,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut request = Request::builder().method(method).uri(format!("{}{path}", gateway.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let answer = client.request(request.body(body).expect("a request")).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let text = String::from_utf8(body.collect().await.expect("a body").to_bytes().to_vec()).expect("text");
    Reply { status: head.status, headers: head.headers, text }
}

/// Posts with the token.
async fn ask(gateway: &TestGateway, path: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {TOKEN}");
    send(gateway, Method::POST, path, &[("authorization", &bearer)], &body.to_string()).await
}

async fn with_key(gateway: &TestGateway, key: &str, body: &Value) -> Reply {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    send(gateway, Method::POST, "/hooks/agent", &headers, &body.to_string()).await
}

/// The run of an answer, once it is over.
async fn run_of(gateway: &TestGateway, reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    let run = reply.json()["runId"].as_str().expect("a run").to_owned();
    gateway.get(&format!("/api/v1/runs/{run}?waitSeconds=60")).await.ok(200).clone()
}

#[tokio::test]
async fn refusals_are_worded_as_openclaw_words_them() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {TOKEN}");
    let token = [("authorization", bearer.as_str())];
    let good = json!({ "message": "hello" }).to_string();
    let post = |path: &'static str, headers: Vec<(&'static str, &'static str)>, body: String| {
        let gateway = &gateway;
        async move { send(gateway, Method::POST, path, &headers, &body).await }
    };
    let query = "Hook token must be provided via Authorization: Bearer <token> or X-OpenClaw-Token header (query parameters are not allowed).";
    post("/hooks/agent?token=x", vec![], good.clone()).await.is(400, query);
    post("/hooks/agent", vec![("authorization", "Bearer wrong")], good.clone()).await.is(401, "Unauthorized");
    post("/hooks/agent", vec![], good.clone()).await.is(401, "Unauthorized");
    post("/hooks/nothing", vec![], good.clone()).await.is(401, "Unauthorized");
    let got = send(&gateway, Method::GET, "/hooks/agent", &token, "").await;
    got.is(405, "Method Not Allowed");
    assert_eq!(got.headers["allow"], "POST");
    for path in ["/hooks", "/hooks/", "/hooks/nothing"] {
        send(&gateway, Method::POST, path, &token, &good).await.is(404, "Not Found");
    }
    for (path, body, told) in [
        ("/hooks/agent", json!({}), r#"{"ok":false,"error":"message required"}"#),
        ("/hooks/agent", json!([1]), r#"{"ok":false,"error":"message required"}"#),
        ("/hooks/wake", json!({ "mode": "now" }), r#"{"ok":false,"error":"text required"}"#),
        (
            "/hooks/agent",
            json!({ "message": "x", "agentId": "no-such-agent" }),
            r#"{"ok":false,"error":"unknown agentId \"no-such-agent\""}"#,
        ),
        (
            "/hooks/agent",
            json!({ "message": "x", "sessionKey": "hook:mine" }),
            r#"{"ok":false,"error":"sessionKey is disabled for externally supplied hook payload values; set hooks.allowRequestSessionKey=true to enable"}"#,
        ),
    ] {
        assert_eq!(ask(&gateway, path, &body).await.json(), serde_json::from_str::<Value>(told).unwrap());
    }
    let cut = send(&gateway, Method::POST, "/hooks/agent", &token, r#"{"message":"#).await;
    cut.is(400, r#"{"ok":false,"error":"Unexpected end of JSON input"}"#);
    gateway.stop().await;
}

#[tokio::test]
async fn a_turn_is_accepted_at_once_runs_as_its_agent_and_can_be_followed_with_the_same_token() {
    let gateway = gateway(r#"returnOutput: true"#).await;
    let own_header = [("x-openclaw-token", TOKEN)];
    let body = json!({ "message": "What is new?", "agentId": "Sales", "name": "Mail" }).to_string();
    let accepted = send(&gateway, Method::POST, "/hooks/agent", &own_header, &body).await;
    let run = run_of(&gateway, &accepted).await;
    assert_eq!((&run["status"], &run["trigger"]), (&json!("ok"), &json!("hook")));
    assert_eq!((&run["jobId"], &run["jobName"]), (&json!("hook-agent"), &json!("Mail")));
    assert!(run["sessionKey"].as_str().unwrap().starts_with("agent:sales:hook:"), "{run}");
    let url = accepted.json()["statusUrl"].as_str().unwrap().to_owned();
    let followed = send(&gateway, Method::GET, &url, &own_header, "").await.json();
    let completion = json!({ "status": "ok", "replyDisposition": "visible", "output": "All is well." });
    assert_eq!((&followed["state"], &followed["completion"]), (&json!("finished"), &completion));
    send(&gateway, Method::GET, &url, &[], "").await.is(401, "Unauthorized");
    send(&gateway, Method::GET, "/hooks/runs/run_0", &own_header, "").await.is(404, "Not Found");
    // The standing job is there, marked as the gateway's own; it cannot be run or changed by hand, and can be halted.
    let job = gateway.get("/api/v1/jobs/hook-agent").await.ok(200).clone();
    assert_eq!(job["schedule"], json!({ "kind": "event", "source": "hook.agent" }));
    gateway.post("/api/v1/jobs/hook-agent/run", &json!({})).await.refused(409, "system_owned");
    gateway.delete("/api/v1/jobs/hook-agent").await.refused(409, "system_owned");
    gateway.stop().await;
}

#[tokio::test]
async fn whoever_waits_is_told_the_end_and_no_output_where_the_hook_does_not_allow_it() {
    let gateway = gateway("").await;
    let body = json!({ "message": "hello", "waitForCompletion": true, "deliver": false });
    let told = ask(&gateway, "/hooks/agent", &body).await;
    assert_eq!(told.json()["completion"], json!({ "status": "ok", "replyDisposition": "visible" }));
    // The agent's main session is told, in a fence.
    let waiting = gateway.get("/api/v1/sessions?kept=true").await.ok(200).clone();
    assert!(
        waiting["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .any(|session| session["sessionKey"] == "agent:main:main")
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_key_makes_a_request_once_and_the_same_key_with_other_content_is_refused() {
    let gateway = gateway("").await;
    let (one, other) = (json!({ "message": "one" }), json!({ "message": "other" }));
    let first = with_key(&gateway, "k1", &one).await.json();
    let again = with_key(&gateway, "k1", &one).await.json();
    assert_eq!(first, again);
    let reused = with_key(&gateway, "k1", &other).await;
    assert_eq!((reused.status.as_u16(), &reused.json()["ok"]), (422, &json!(false)), "{reused:?}");
    let mut waits = one.clone();
    waits["waitForCompletion"] = json!(true);
    let waited = with_key(&gateway, "k1", &waits).await.json();
    assert_eq!((&waited["runId"], &waited["completion"]["status"]), (&first["runId"], &json!("ok")));
    let requests = gateway.get("/api/v1/hooks/agent/requests").await.ok(200)["requests"].clone();
    assert_eq!(requests.as_array().unwrap().len(), 1);
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_whose_caller_still_waits_is_not_answered_a_second_time() {
    let gateway = gateway("").await;
    gateway.post("/api/v1/hooks/agent/pause", &json!({})).await.ok(200);
    let waits = json!({ "message": "one", "waitForCompletion": true });
    let first = with_key(&gateway, "k1", &waits);
    let others = async {
        let accepted = async || {
            let requests = gateway.get("/api/v1/hooks/agent/requests").await.ok(200)["requests"].clone();
            !requests.as_array().unwrap().is_empty()
        };
        while !accepted().await {}
        for repeated in [&waits, &json!({ "message": "one" })] {
            let refused = with_key(&gateway, "k1", repeated).await;
            assert_eq!((refused.status.as_u16(), refused.headers.contains_key("retry-after")), (409, true));
        }
        let reused = with_key(&gateway, "k1", &json!({ "message": "other" })).await;
        assert_eq!(reused.status.as_u16(), 422, "{reused:?}");
        gateway.post("/api/v1/hooks/agent/resume", &json!({})).await.ok(200);
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(first.json()["completion"]["status"], json!("ok"), "{first:?}");
    assert_eq!(with_key(&gateway, "k1", &waits).await.json()["runId"], first.json()["runId"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_text_is_queued_once_while_it_waits() {
    let gateway = gateway("").await;
    gateway.post("/api/v1/hooks/wake/pause", &json!({})).await.ok(200);
    let later = json!({ "text": "mail came", "mode": "next-heartbeat" });
    ask(&gateway, "/hooks/wake", &later)
        .await
        .is(200, r#"{"ok":true,"mode":"next-heartbeat","eventOutcome":"queued"}"#);
    ask(&gateway, "/hooks/wake", &later)
        .await
        .is(200, r#"{"ok":true,"mode":"next-heartbeat","eventOutcome":"coalesced"}"#);
    let now = json!({ "text": "it rains", "mode": "whenever" });
    ask(&gateway, "/hooks/wake", &now).await.is(200, r#"{"ok":true,"mode":"now","eventOutcome":"queued"}"#);
    gateway.post("/api/v1/hooks/wake/resume", &json!({})).await.ok(200);
    let runs = loop {
        let runs = gateway.get("/api/v1/jobs/hook-wake/runs").await.ok(200)["entries"].clone();
        if runs[0]["status"].is_string() {
            break runs;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((runs.as_array().unwrap().len(), &runs[0]["status"]), (1, &json!("ok")));
    let run = runs[0]["runId"].as_str().unwrap();
    let said = gateway.get(&format!("/api/v1/runs/{run}/transcript")).await.ok(200).to_string();
    assert!(said.contains("mail came") && said.contains("it rains"), "{said}");
    gateway.stop().await;
}

#[tokio::test]
async fn thousands_of_wrong_tokens_are_told_to_wait_and_slow_nobody_who_has_the_right_one() {
    let gateway = gateway("").await;
    let wrong = [("authorization", "Bearer wrong")];
    let (mut refused, mut told_to_wait) = (0, 0);
    for _ in 0..2_000 {
        let answer = send(&gateway, Method::POST, "/hooks/agent", &wrong, "{}").await;
        match answer.status.as_u16() {
            401 => refused += 1,
            429 => {
                assert_eq!(
                    (answer.text.as_str(), &answer.headers["retry-after"]),
                    ("Too Many Requests", &"60".parse().unwrap())
                );
                told_to_wait += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!((refused, told_to_wait), (20, 1_980));
    let begun = std::time::Instant::now();
    let good = ask(&gateway, "/hooks/agent", &json!({ "message": "hello" })).await;
    assert_eq!(good.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // A right token forgives.
    send(&gateway, Method::POST, "/hooks/agent", &wrong, "{}").await.is(401, "Unauthorized");
    gateway.stop().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_too_deep_or_of_wrong_types_are_refused_and_leave_nothing() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {TOKEN}");
    let token = [("authorization", bearer.as_str())];
    let exactly = |bytes: usize| {
        let frame = json!({ "message": "" }).to_string().len();
        json!({ "message": "x".repeat(bytes - frame) }).to_string()
    };
    let too_large = send(&gateway, Method::POST, "/hooks/agent", &token, &exactly(256 * 1024 + 1)).await;
    too_large.is(413, r#"{"ok":false,"error":"payload too large"}"#);
    let deep = "[".repeat(100_000);
    assert_eq!(send(&gateway, Method::POST, "/hooks/agent", &token, &deep).await.status, 400);
    let nested = format!("{{\"message\":\"x\",\"a\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(send(&gateway, Method::POST, "/hooks/agent", &token, &nested).await.status, 400);
    for wrong in [
        json!({ "message": 7 }),
        json!({ "message": ["x"] }),
        json!({ "message": "x", "model": 7 }),
        json!("x"),
        json!(null),
    ] {
        assert_eq!(ask(&gateway, "/hooks/agent", &wrong).await.status, 400, "{wrong}");
    }
    let none = gateway.get("/api/v1/hooks/agent/requests").await.ok(200)["requests"].clone();
    assert_eq!(none, json!([]));
    let fits = send(&gateway, Method::POST, "/hooks/agent", &token, &exactly(256 * 1024)).await;
    assert_eq!(fits.status, 200);
    gateway.stop().await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "it goes to the gateway that the test has started")]
async fn a_slow_body_holds_up_nobody_else() {
    let gateway = gateway("").await;
    let address = gateway.url.trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /hooks/agent HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(ask(&gateway, "/hooks/agent", &json!({ "message": "hello" })).await.status, 200);
    let mut nothing = [0; 1];
    assert!(tokio::time::timeout(Duration::from_millis(50), slow.read(&mut nothing)).await.is_err());
    drop(slow);
    gateway.stop().await;
}

#[tokio::test]
async fn the_list_of_agents_holds_where_no_agent_is_named() {
    let gateway = gateway(r#"allowedAgentIds: ["sales"]"#).await;
    let refused = json!({ "ok": false, "error": "agentId is not allowed by hooks.allowedAgentIds" });
    for body in [
        json!({ "message": "x" }),
        json!({ "message": "x", "agentId": " " }),
        json!({ "message": "x", "agentId": "main" }),
    ] {
        let answer = ask(&gateway, "/hooks/agent", &body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (400, refused.clone()), "{body}");
    }
    assert_eq!(
        ask(&gateway, "/hooks/agent", &json!({ "message": "x", "agentId": "sales" })).await.status,
        200
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_full_queue_and_a_switched_off_hook_say_when_to_come_again_and_keep_nothing() {
    let gateway = gateway("limits: { queueDepth: 2 }").await;
    gateway.post("/api/v1/hooks/agent/pause", &json!({})).await.ok(200);
    for message in ["a", "b"] {
        assert_eq!(ask(&gateway, "/hooks/agent", &json!({ "message": message })).await.status, 200);
    }
    let full = ask(&gateway, "/hooks/agent", &json!({ "message": "c" })).await;
    full.is(503, r#"{"ok":false,"error":"the hook's queue is full: 2 runs wait"}"#);
    assert_eq!(full.headers["retry-after"], "30");
    let hook = gateway.get("/api/v1/hooks").await.ok(200)["hooks"][0].clone();
    assert_eq!(
        (&hook["id"], &hook["state"], &hook["waiting"]),
        (&json!("agent"), &json!("paused"), &json!(2))
    );
    gateway.post("/api/v1/jobs/hook-agent/disable", &json!({})).await.ok(200);
    let off = ask(&gateway, "/hooks/agent", &json!({ "message": "d" })).await;
    off.is(503, r#"{"ok":false,"error":"the hook is switched off"}"#);
    // What was accepted before is done.
    gateway.post("/api/v1/hooks/agent/resume", &json!({})).await.ok(200);
    loop {
        let open = gateway.get("/api/v1/hooks/agent/requests?open=true").await.ok(200)["requests"].clone();
        if open == json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn too_many_requests_a_minute_are_told_when_to_come_again() {
    let gateway = gateway("limits: { ratePerMinute: 2 }").await;
    for status in [200, 200, 429] {
        let answer = ask(&gateway, "/hooks/agent", &json!({ "message": "x" })).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_circle_through_other_systems_is_broken_at_the_door() {
    let gateway = gateway("").await;
    let bearer = format!("Bearer {TOKEN}");
    let headers =
        [("authorization", bearer.as_str()), ("clawhook-hops", "8"), ("clawhook-trail", "a/daily,b/report")];
    let body = json!({ "message": "x" }).to_string();
    let broken = send(&gateway, Method::POST, "/hooks/agent", &headers, &body).await;
    assert_eq!(broken.status, StatusCode::LOOP_DETECTED, "{broken:?}");
    assert!(broken.json()["error"].as_str().unwrap().contains("a/daily -> b/report"));
    let fewer = [headers[0], ("clawhook-hops", "3"), headers[2]];
    let run = run_of(&gateway, &send(&gateway, Method::POST, "/hooks/agent", &fewer, &body).await).await;
    assert_eq!(run["provenance"]["hops"], json!(4), "{run}");
    gateway.stop().await;
}

const MAPPINGS: &str = r#"mappings: [
    { id: "orders", match: { path: "orders" }, forEach: "orders", messageTemplate: "Order {{orders[0].id}}",
      filters: [{ value: "payload.kind", is: ["new"] }] },
    { id: "signed", match: { path: "signed" }, messageTemplate: "{{payload.text}}",
      signature: { scheme: "github", secret: "It's a Secret to Everybody" } },
]"#;

#[tokio::test]
async fn a_mapping_makes_a_run_of_each_element_or_none_where_it_does_not_want_the_request() {
    let gateway = gateway(MAPPINGS).await;
    let orders = json!({ "kind": "new", "orders": [{ "id": 1 }, { "id": 2 }] });
    let answer = ask(&gateway, "/hooks/orders", &orders).await.json();
    assert_eq!((&answer["dispatched"], &answer["runIds"][0]), (&json!(2), &answer["runId"]));
    for ignored in [json!({ "kind": "old", "orders": [{ "id": 1 }] }), json!({ "kind": "new", "orders": [] })]
    {
        let answer = ask(&gateway, "/hooks/orders", &ignored).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    }
    let requests = gateway.get("/api/v1/hooks/orders/requests").await.ok(200)["requests"].clone();
    let outcomes: Vec<&str> =
        requests.as_array().unwrap().iter().map(|request| request["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["ignored", "ignored", "queued"]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_signed_hook_takes_its_signature_and_no_token() {
    let gateway = gateway(MAPPINGS).await;
    let body = r#"{"text":"Hello, World!"}"#;
    assert_eq!(ask(&gateway, "/hooks/signed", &json!({ "text": "x" })).await.status, 401);
    let wrong = [("x-hub-signature-256", "sha256=00")];
    assert_eq!(send(&gateway, Method::POST, "/hooks/signed", &wrong, body).await.status, 401);
    let tried = json!({ "body": body, "headers": { "x-hub-signature-256": "sha256=00" } });
    let trial = gateway.post("/api/v1/hooks/signed/test", &tried).await.ok(200).clone();
    assert_eq!(trial["signed"], json!(false));
    let message = trial["asks"][0]["run"]["payload"]["message"].as_str().unwrap();
    assert!(message.contains("Hello, World!"), "{trial}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_can_be_looked_at_with_its_secrets_masked_and_done_once_more() {
    let gateway = gateway("").await;
    let first = with_key(&gateway, "k1", &json!({ "message": "hello" })).await;
    run_of(&gateway, &first).await;
    let id = gateway.get("/api/v1/hooks/agent/requests").await.ok(200)["requests"][0]["requestId"].clone();
    let path = format!("/api/v1/hook-requests/{}", id.as_str().unwrap());
    let request = gateway.get(&path).await.ok(200).clone();
    assert!(!request.to_string().contains(TOKEN), "{request}");
    assert_eq!((&request["body"], &request["outcome"]), (&json!(r#"{"message":"hello"}"#), &json!("queued")));
    assert_eq!((&request["client"], &request["runs"][0]["status"]), (&json!("127.0.0.1"), &json!("ok")));
    let replayed = gateway.post(&format!("{path}/replay"), &json!({})).await.ok(202).clone();
    assert_eq!(replayed["replayOf"], id);
    assert_ne!(replayed["answer"]["runId"], first.json()["runId"]);
    gateway.get("/api/v1/hook-requests/hkr_0").await.refused(404, "not_found");
    gateway.get("/api/v1/hooks/nothing/requests").await.refused(404, "not_found");
    gateway.post("/api/v1/hooks/agent/test", &json!({ "bodi": "" })).await.refused(422, "unknown_field");
    gateway.post("/api/v1/hooks/agent/test", &json!({ "body": "{}" })).await.refused(422, "refused");
    gateway.stop().await;
}

#[tokio::test]
async fn without_hooks_their_path_is_like_any_other() {
    let gateway = TestGateway::with_model().await;
    let answer = send(&gateway, Method::POST, "/hooks/agent", &[], "{}").await;
    assert_eq!(answer.json()["error"]["code"], "no_such_path");
    assert_eq!(gateway.get("/api/v1/hooks").await.ok(200)["hooks"], json!([]));
    gateway.stop().await;
}
