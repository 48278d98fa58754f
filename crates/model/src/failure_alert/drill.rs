//! The drill of the alerts: an alert that tells of nothing, and that must come back acknowledged.

use std::time::Duration;

use serde_json::Value;

use super::settings::{AlertRoute, GatewayAlerts, MOST_FALLBACKS};
use crate::definition_error::DefinitionError;
use crate::duration::{format_duration, parse_duration};
use crate::fields::Fields;
use crate::outbox::Target;

/// How often the alerts are drilled, and how (`cron.alertDrill`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertDrill {
    /// How often.
    pub every: Duration,
    /// How long each rung has to acknowledge.
    pub within: Duration,
    /// Where it goes, one after the other.
    pub targets: Vec<Target>,
}

impl AlertDrill {
    /// Reads the block of the configuration. What it does not say of the route, the alerts' own says.
    pub fn parse(value: Value, alerts: &GatewayAlerts) -> Result<Self, DefinitionError> {
        const PATH: &str = "alertDrill";
        let mut fields = Fields::open(PATH, value)?;
        let every = duration(&mut fields, "every", Duration::from_hours(24))?;
        let within = duration(&mut fields, "within", Duration::from_mins(10))?;
        let fallback = match fields.value("fallback") {
            None => None,
            Some(list) => Some(Target::parse_list("alertDrill.fallback", list, MOST_FALLBACKS)?),
        };
        let route = AlertRoute::take(&mut fields, PATH)?;
        fields.close(&[])?;
        route.check_complete(PATH)?;
        if every < Duration::from_mins(1) || within < Duration::from_secs(1) || within >= every {
            let why = format!(
                "comes every {} and waits {} for each: it needs at least a minute, and must be over before the next",
                format_duration(every),
                format_duration(within)
            );
            return Err(DefinitionError::invalid(PATH, why));
        }
        let of_drill = GatewayAlerts {
            route: if route.is_empty() { alerts.route.clone() } else { route },
            fallback: fallback.unwrap_or_else(|| alerts.fallback.clone()),
            ..GatewayAlerts::default()
        };
        let targets = of_drill.targets();
        if targets.is_empty() {
            let why = "has no route: name one, or give `cron.failureAlert` one";
            return Err(DefinitionError::invalid(PATH, why));
        }
        Ok(Self { every, within, targets })
    }
}

fn duration(fields: &mut Fields, key: &'static str, default: Duration) -> Result<Duration, DefinitionError> {
    match fields.text(key)? {
        None => Ok(default),
        Some(text) => parse_duration(&text)
            .map_err(|error| DefinitionError::invalid(format!("alertDrill.{key}"), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_drill_takes_the_alerts_route_where_it_names_none() {
        let alerts =
            GatewayAlerts::parse(json!({ "destination": "pager", "fallback": ["second"] }), None).unwrap();
        let shown = |value: Value| {
            let drill = AlertDrill::parse(value, &alerts).unwrap();
            drill.targets.iter().map(Target::shown).collect::<Vec<_>>()
        };
        assert_eq!(shown(json!({})), ["pager", "second"]);
        assert_eq!(shown(json!({ "destination": "other", "fallback": [] })), ["other"]);
        for bad in
            [json!({ "every": "30s" }), json!({ "every": "5m", "within": "5m" }), json!({ "often": "1h" })]
        {
            assert!(AlertDrill::parse(bad.clone(), &alerts).is_err(), "{bad}");
        }
        assert!(AlertDrill::parse(json!({}), &GatewayAlerts::default()).is_err());
    }
}
