//! A living lab as it was meant when it was started.

use crate::failure::Failure;
use crate::lab::Lab;
use crate::run::directory::{LONGEST, LabDirectory};
use crate::run::trust;

/// Reads it.
///
/// # Errors
/// It cannot be read, or is not there yet.
pub fn of(lab: &LabDirectory) -> Result<Lab, Failure> {
    trust::read_json(&lab.topology(), LONGEST)?
        .ok_or_else(|| Failure::not_ready("the lab is only just starting: try again"))
}
