//! Alerts and their drill, as the configuration tells them. What they are, the model says: it reads the same JSON here as
//! in a job.

use clawhook_delivery::Guard;
use clawhook_model::{AlertDrill, DefinitionError, GatewayAlerts, Target};
use jsonc_parser::common::Range;
use serde_json::{Value, json};
use url::Url;

use super::block::Written;
use super::destinations::json as plain;
use super::document::{Node, range};
use super::keys::{Absent, Default, Documented, Key};
use super::problem::Findings;
use super::raw::RawAlerts;
use super::setting::{Complaint, Setting, text, unexpected};

pub(super) static ALERT: Key<Block<Alert>, Absent> = Key {
    path: "cron.failureAlert",
    form: (),
    default: Absent("no route, so that only jobs with a route of their own tell"),
    meaning: "When trouble of jobs is told, and where: `enabled`, `after`, `cooldownMs`, `includeSkipped`, the route (`mode`, \
              `to`, `destination`, `channel`, `accountId`, `threadId`) and `fallback`. See [Alerts](alerts.md).",
};

pub(super) static FAILURE_DESTINATION: Key<Block<Route>, Absent> = Key {
    path: "cron.failureDestination",
    form: (),
    default: Absent("none"),
    meaning: "OpenClaw's older key for the route of `cron.failureAlert`, which fills in what that one leaves open.",
};

pub(super) static DRILL: Key<Block<Drill>, Absent> = Key {
    path: "cron.alertDrill",
    form: (),
    default: Absent("no drill"),
    meaning: "How often an alert is sent that tells of nothing and must come back acknowledged: `every` (24h), `within` \
              (10m), and a route where it is not that of `cron.failureAlert`. See [Alerts](alerts.md#the-drill).",
};

pub(super) static PUBLIC_URL: Key<PublicUrl, Absent> = Key {
    path: "gateway.publicUrl",
    form: (),
    default: Absent("the address that the gateway listens on"),
    meaning: "Where people reach the gateway from outside; links that [acknowledge](acknowledgements.md) begin with it.",
};

pub(super) static ONE_CLICK: Key<bool, Default<bool>> = Key {
    path: "delivery.oneClickAcknowledge",
    form: (),
    default: || false,
    meaning: "Whether opening such a link acknowledges at once. Programs that look at links in messages open them, too.",
};

pub(super) static ALL: &[&dyn Documented] = &[&PUBLIC_URL, &ALERT, &FAILURE_DESTINATION, &DRILL, &ONE_CLICK];

/// What the configuration says of alerts.
#[derive(Debug, Clone, std::default::Default)]
pub struct AlertsConfig {
    /// When trouble is told, and where.
    pub alerts: GatewayAlerts,
    /// How often that is drilled.
    pub drill: Option<AlertDrill>,
    /// Where people reach the gateway, without a slash at the end.
    pub public_url: Option<String>,
    /// Whether opening a link acknowledges.
    pub one_click: bool,
}

/// An object that the model reads.
#[derive(Debug, Clone)]
pub(super) struct Block<W> {
    value: Value,
    which: std::marker::PhantomData<W>,
}

/// Which object it is, and whether it is well formed by itself.
pub(super) trait Which {
    fn check(value: Value) -> Result<(), DefinitionError>;
}

#[derive(Debug, Clone)]
pub(super) struct Alert;
#[derive(Debug, Clone)]
pub(super) struct Route;
#[derive(Debug, Clone)]
pub(super) struct Drill;

impl Which for Alert {
    fn check(value: Value) -> Result<(), DefinitionError> {
        GatewayAlerts::parse(value, None).map(|_| ())
    }
}

impl Which for Route {
    fn check(value: Value) -> Result<(), DefinitionError> {
        GatewayAlerts::parse(json!({}), Some(value)).map(|_| ())
    }
}

impl Which for Drill {
    fn check(value: Value) -> Result<(), DefinitionError> {
        // Whether it has a route is known once the other block is.
        let somewhere = GatewayAlerts::parse(json!({ "destination": "somewhere" }), None)?;
        AlertDrill::parse(value, &somewhere).map(|_| ())
    }
}

impl<W: Which> Setting for Block<W> {
    type Form = ();

    // A URL in it may hold a key.
    const PUBLIC: bool = false;

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        if node.as_object().is_none() {
            return Err(vec![unexpected::<Self>(node, form)]);
        }
        let value = plain(node).map_err(|complaint| vec![complaint])?;
        W::check(value.clone())
            .map_err(|error| vec![Complaint::new(range(node), format!("is wrong: {error}"))])?;
        Ok(Self { value, which: std::marker::PhantomData })
    }

    fn expected((): &()) -> String {
        "an object".to_owned()
    }
}

/// An http or https URL that paths can follow.
#[derive(Debug, Clone)]
pub(super) struct PublicUrl(String);

impl Setting for PublicUrl {
    type Form = ();

    fn read(node: &Node<'_>, form: &()) -> Result<Self, Vec<Complaint>> {
        let url = text(node).and_then(|text| Url::parse(text.trim()).ok());
        let fits = |url: &Url| {
            matches!(url.scheme(), "http" | "https")
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        match url.filter(fits) {
            Some(url) => Ok(Self(url.as_str().trim_end_matches('/').to_owned())),
            None => Err(vec![unexpected::<Self>(node, form)]),
        }
    }

    fn expected((): &()) -> String {
        "an http or https URL without a query".to_owned()
    }
}

/// What the blocks mean together. Addresses where no alert may go are refused while somebody is looking.
pub(super) fn resolve(raw: RawAlerts, guard: &Guard, findings: &mut Findings) -> AlertsConfig {
    let RawAlerts { alert, failure_destination, drill, public_url, one_click } = raw;
    let alert_at = alert.as_ref().or(None).map(|written| written.at);
    let older_at = failure_destination.as_ref().map(|written| written.at);
    let value = alert.map_or_else(|| json!({}), |written| written.value.value);
    let older = failure_destination.map(|written| written.value.value);
    // Each was well formed by itself.
    let alerts = GatewayAlerts::parse(value, older).unwrap_or_default();
    check(ALERT.path, alert_at.or(older_at), &alerts.targets(), guard, findings);
    let drill = drill.and_then(|Written { value, at }| match AlertDrill::parse(value.value, &alerts) {
        Ok(drill) => {
            check(DRILL.path, Some(at), &drill.targets, guard, findings);
            Some(drill)
        }
        Err(error) => {
            findings.report(Some(at), format!("`{}` is wrong: {error}", DRILL.path), None);
            None
        }
    });
    AlertsConfig {
        alerts,
        drill,
        public_url: public_url.map(|written| written.value.0),
        one_click: ONE_CLICK.or_default(one_click),
    }
}

fn check(path: &str, at: Option<Range>, targets: &[Target], guard: &Guard, findings: &mut Findings) {
    for target in targets {
        let Target::Webhook(url) = target else { continue };
        if let Err(refusal) = guard.check_url(url) {
            findings.report(at, format!("`{path}`: {refusal}"), Some(refusal.hint()));
        }
    }
}
