//! Checks of a living lab: asked, judged, repeated until right or too late, and reported.

pub mod answer;
pub mod ask;
pub mod helper;
pub mod report;
pub mod route;
pub mod runner;
pub mod stop;
pub mod up;
