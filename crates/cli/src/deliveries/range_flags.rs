//! The flags that say which deliveries are meant.

use clap::Args;

use crate::moment::Moment;

/// Which deliveries; what is not named does not matter.
#[derive(Args)]
pub(super) struct RangeArgs {
    /// Only to this destination: its name, its `dst_…`, or the URL that jobs name
    #[arg(long, value_name = "DESTINATION")]
    pub(super) destination: Option<String>,
    /// Only of this job
    #[arg(long, value_name = "ID")]
    pub(super) job: Option<String>,
    /// Only in these states, parted by commas
    #[arg(long, value_name = "STATES")]
    pub(super) state: Option<String>,
    /// Only dead ones with a cause on these sides, parted by commas: receiver, configuration, gateway
    #[arg(long, value_name = "CAUSES")]
    pub(super) cause: Option<String>,
    /// Only those accepted since then: a time, or how long ago, such as `2h`
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(super) since: Option<Moment>,
    /// Only those accepted before then
    #[arg(long, value_name = "WHEN", value_parser = Moment::parse)]
    pub(super) until: Option<Moment>,
}

impl RangeArgs {
    /// Whether anything is said.
    pub(super) fn says_anything(&self) -> bool {
        let Self { destination, job, state, cause, since, until } = self;
        let texts = [destination, job, state, cause];
        texts.iter().any(|text| text.is_some()) || since.is_some() || until.is_some()
    }
}
