//! CloudEvents and Standard Webhooks.

use super::*;

#[test]
fn a_structured_cloud_event_has_the_required_attributes_and_the_event_byte_for_byte() {
    let body = event(&json!({}));
    let rendered = render(&json!("cloudevents"), &body).unwrap();
    assert_eq!(rendered.content_type, "application/cloudevents+json");
    let mut envelope = json_of(&rendered);
    assert_eq!(envelope["data"].take(), serde_json::from_slice::<Value>(&body).unwrap());
    assert_eq!(
        envelope,
        json!({
            "specversion": "1.0",
            "id": "evt_019c6f3a000070008000000000000001",
            "source": "/clawhook/jobs/daily-summary",
            "type": "com.clawhook.run.finished",
            "subject": "run_019c6f3a00007000800000000000a001",
            "time": "2026-02-18T09:00:04.217Z",
            "dataschema": "urn:clawhook:schema:run.finished:v1",
            "datacontenttype": "application/json",
            "data": null,
        })
    );
    let text = std::str::from_utf8(&rendered.body).unwrap();
    assert!(text.contains(std::str::from_utf8(&body).unwrap()));
}

#[test]
fn a_binary_cloud_event_has_its_attributes_in_headers_and_the_event_as_its_body() {
    let body = event(&json!({ "jobId": "tä glich%\"a b\"" }));
    let rendered = render(&json!("cloudevents-binary"), &body).unwrap();
    assert_eq!(rendered.body.as_ptr(), body.as_ptr());
    assert_eq!(rendered.content_type, "application/json");
    let headers: Vec<(&str, &str)> =
        rendered.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let expected = [
        ("ce-specversion", "1.0"),
        ("ce-id", "evt_019c6f3a000070008000000000000001"),
        // Encoded once as a URI and once more as a header, as the binding says.
        ("ce-source", "/clawhook/jobs/t%25C3%25A4%2520glich%2525%2522a%2520b%2522"),
        ("ce-type", "com.clawhook.run.finished"),
        ("ce-subject", "run_019c6f3a00007000800000000000a001"),
        ("ce-time", "2026-02-18T09:00:04.217Z"),
        ("ce-dataschema", "urn:clawhook:schema:run.finished:v1"),
    ];
    assert_eq!(headers.len(), expected.len());
    for pair in expected {
        assert!(headers.contains(&pair), "{pair:?} in {headers:?}");
    }
}

#[test]
fn an_event_without_a_job_is_a_cloud_event_without_empty_attributes() {
    let body = Bytes::from_static(b"{}");
    let input = RenderInput { kind: "delivery.test", ..input(&body) };
    let rendered = renderer(&json!("cloudevents")).unwrap().render(&input).unwrap();
    let envelope = json_of(&rendered);
    assert_eq!(
        (&envelope["source"], &envelope["type"]),
        (&json!("/clawhook"), &json!("com.clawhook.delivery.test"))
    );
    assert_eq!((envelope.get("subject"), envelope.get("dataschema")), (None, None));
}

#[test]
fn the_standard_envelope_has_type_timestamp_and_the_event() {
    let body = event(&json!({}));
    let rendered = render(&json!("standard-webhooks"), &body).unwrap();
    assert_eq!(rendered.content_type, "application/json");
    let expected = format!(
        r#"{{"type":"run.finished","timestamp":"2026-02-18T09:00:04.217Z","data":{}}}"#,
        std::str::from_utf8(&body).unwrap()
    );
    assert_eq!(rendered.body, expected);
}
