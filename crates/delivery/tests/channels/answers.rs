//! What each service's answers mean: the errors of its published documents.

use clawhook_delivery::channels::ChannelKind::{
    self, Discord, Matrix, Mattermost, Ntfy, Openclaw, Slack, Telegram, Webhook,
};
use clawhook_model::RetryAfter;

use super::{answer, channel, message, place, send, service};

/// One answer, and what becomes of the piece.
struct Case(ChannelKind, u16, &'static [(&'static str, &'static str)], &'static str, Expected);

enum Expected {
    /// Delivered, with this id.
    Delivered(&'static str),
    /// This class, so many seconds, and words that hold this.
    Failed(&'static str, Option<u64>, &'static str),
}

use Expected::{Delivered, Failed};

const CASES: [Case; 40] = [
    Case(
        Slack,
        200,
        &[],
        r#"{"ok":true,"channel":"C1","ts":"1503435956.000247","message":{"text":"a"}}"#,
        Delivered("1503435956.000247"),
    ),
    Case(
        Slack,
        200,
        &[],
        r#"{"ok":false,"error":"channel_not_found"}"#,
        Failed("refused", None, "channel_not_found"),
    ),
    Case(Slack, 200, &[], r#"{"ok":false,"error":"not_in_channel"}"#, Failed("refused", None, "/invite")),
    Case(
        Slack,
        200,
        &[],
        r#"{"ok":false,"error":"invalid_auth"}"#,
        Failed("unauthorized", None, "invalid_auth"),
    ),
    Case(
        Slack,
        200,
        &[],
        r#"{"ok":false,"error":"token_revoked"}"#,
        Failed("unauthorized", None, "token_revoked"),
    ),
    Case(
        Slack,
        200,
        &[],
        r#"{"ok":false,"error":"missing_scope","needed":"chat:write"}"#,
        Failed("unauthorized", None, "missing_scope"),
    ),
    Case(
        Slack,
        200,
        &[],
        r#"{"ok":false,"error":"internal_error"}"#,
        Failed("server_error", None, "internal_error"),
    ),
    Case(
        Slack,
        429,
        &[("retry-after", "30")],
        r#"{"ok":false,"error":"ratelimited"}"#,
        Failed("rate_limited", Some(30), "30 s"),
    ),
    Case(
        Slack,
        200,
        &[("retry-after", "7")],
        r#"{"ok":false,"error":"ratelimited"}"#,
        Failed("rate_limited", Some(7), ""),
    ),
    Case(
        Slack,
        200,
        &[],
        "<html>captive portal</html>",
        Failed("protocol_error", None, "nothing of its API"),
    ),
    Case(Slack, 503, &[("retry-after", "9")], "", Failed("server_error", Some(9), "HTTP 503")),
    Case(
        Discord,
        200,
        &[],
        r#"{"id":"1190000000000000000","content":"a"}"#,
        Delivered("1190000000000000000"),
    ),
    Case(
        Discord,
        429,
        &[("retry-after", "65"), ("x-ratelimit-scope", "user")],
        r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#,
        Failed("rate_limited", Some(65), "65 s"),
    ),
    Case(
        Discord,
        429,
        &[],
        r#"{"message":"You are being rate limited.","retry_after":0.3,"global":true}"#,
        Failed("rate_limited", Some(1), ""),
    ),
    Case(
        Discord,
        404,
        &[],
        r#"{"message":"Unknown Channel","code":10003}"#,
        Failed("refused", None, "Unknown Channel (10003)"),
    ),
    Case(Discord, 403, &[], r#"{"message":"Missing Access","code":50001}"#, Failed("refused", None, "50001")),
    Case(
        Discord,
        401,
        &[],
        r#"{"message":"401: Unauthorized","code":0}"#,
        Failed("unauthorized", None, "401"),
    ),
    Case(Discord, 500, &[], "", Failed("server_error", None, "HTTP 500")),
    Case(Telegram, 200, &[], r#"{"ok":true,"result":{"message_id":77,"date":1}}"#, Delivered("77")),
    Case(
        Telegram,
        429,
        &[],
        r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 8","parameters":{"retry_after":8}}"#,
        Failed("rate_limited", Some(8), ""),
    ),
    Case(
        Telegram,
        400,
        &[],
        r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#,
        Failed("refused", None, "chat not found"),
    ),
    Case(
        Telegram,
        403,
        &[],
        r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#,
        Failed("refused", None, "blocked by the user"),
    ),
    Case(
        Telegram,
        401,
        &[],
        r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#,
        Failed("unauthorized", None, "Unauthorized"),
    ),
    Case(
        Telegram,
        404,
        &[],
        r#"{"ok":false,"error_code":404,"description":"Not Found"}"#,
        Failed("unauthorized", None, "Not Found"),
    ),
    Case(
        Telegram,
        400,
        &[],
        r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1009}}"#,
        Failed("refused", None, "-1009"),
    ),
    Case(
        Mattermost,
        201,
        &[],
        r#"{"id":"abcdefghijklmnopqrstuvwxyz","message":"a"}"#,
        Delivered("abcdefghijklmnopqrstuvwxyz"),
    ),
    Case(
        Mattermost,
        429,
        &[("x-ratelimit-limit", "10"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "3")],
        "limit exceeded",
        Failed("rate_limited", Some(3), ""),
    ),
    Case(
        Mattermost,
        401,
        &[],
        r#"{"id":"api.context.session_expired.app_error","message":"Invalid or expired session, please login again.","status_code":401}"#,
        Failed("unauthorized", None, "session_expired"),
    ),
    Case(
        Mattermost,
        403,
        &[],
        r#"{"id":"api.context.permissions.app_error","message":"You do not have the appropriate permissions.","status_code":403}"#,
        Failed("refused", None, "permissions"),
    ),
    Case(Matrix, 200, &[], r#"{"event_id":"$YUwRidLecu:example.com"}"#, Delivered("$YUwRidLecu:example.com")),
    Case(
        Matrix,
        429,
        &[],
        r#"{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":2034}"#,
        Failed("rate_limited", Some(3), ""),
    ),
    Case(
        Matrix,
        403,
        &[],
        r#"{"errcode":"M_FORBIDDEN","error":"User @bot not in room"}"#,
        Failed("refused", None, "M_FORBIDDEN"),
    ),
    Case(
        Matrix,
        401,
        &[],
        r#"{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token","soft_logout":false}"#,
        Failed("unauthorized", None, "M_UNKNOWN_TOKEN"),
    ),
    Case(
        Matrix,
        413,
        &[],
        r#"{"errcode":"M_TOO_LARGE","error":"event too large"}"#,
        Failed("refused", None, "M_TOO_LARGE"),
    ),
    Case(
        Ntfy,
        200,
        &[],
        r#"{"id":"sPs71M8A2T","time":1643935928,"event":"message","topic":"alerts","message":"a"}"#,
        Delivered("sPs71M8A2T"),
    ),
    Case(
        Ntfy,
        429,
        &[],
        r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#,
        Failed("rate_limited", None, ""),
    ),
    Case(
        Ntfy,
        403,
        &[],
        r#"{"code":40301,"http":403,"error":"forbidden"}"#,
        Failed("unauthorized", None, "forbidden (40301)"),
    ),
    Case(
        Openclaw,
        200,
        &[],
        r#"{"ok":true,"result":{"content":[],"details":{"ok":true,"messageId":"77","chatId":"-1001"}}}"#,
        Delivered("77"),
    ),
    Case(
        Openclaw,
        500,
        &[],
        r#"{"ok":false,"error":{"type":"tool_error","message":"tool execution failed"}}"#,
        Failed("server_error", None, "tool execution failed"),
    ),
    Case(
        Webhook,
        302,
        &[("location", "https://elsewhere.example.com/")],
        "",
        Failed("redirect", None, "redirects are not followed"),
    ),
];

#[tokio::test]
async fn every_answer_means_what_its_service_says_that_it_means() {
    for Case(kind, status, headers, body, expected) in CASES {
        let receiver = service(&[&answer(status, headers, body)]).await;
        let (sent, arrived) = send(&channel(kind, &receiver), &place(kind), &message("a"), 0).await;
        let case = format!("{kind} {status} {body}: {sent:?}");
        match expected {
            Delivered(id) => {
                assert_eq!(arrived[0].message_id.as_deref(), Some(id), "{case}");
                assert!(sent.is_whole() && sent.report.error.is_none(), "{case}");
            }
            Failed(class, seconds, words) => {
                assert_eq!(sent.report.class.as_str(), class, "{case}");
                assert_eq!(sent.report.retry_after, seconds.map(RetryAfter::Seconds), "{case}");
                assert!(sent.report.error.as_ref().unwrap().contains(words), "{case}");
                assert_eq!((sent.report.status, sent.arrived, arrived.len()), (Some(status), 0, 0), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_tried_again() {
    let receiver = service(&[""]).await;
    let channel = channel(Slack, &receiver);
    drop(receiver);
    let (sent, _) = send(&channel, &place(Slack), &message("a"), 0).await;
    assert_eq!(sent.report.class.as_str(), "connect_failed");
}
