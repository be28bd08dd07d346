//! later
use super::report::ScenarioReport;
use crate::lab::Lab;
pub fn page(_: &Lab, _: &[ScenarioReport]) -> String {
    String::new()
}
