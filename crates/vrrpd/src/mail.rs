//! What comes from the engine's thread, in the order in which it was so.

use vrrp_control::agent::Stand;
use vrrp_linux::News;

/// News, or an answer that must not overtake it.
#[derive(Debug)]
pub(crate) enum Mail {
    /// Something happened.
    News(Box<News>),
    /// How everybody stood after the news before it.
    Standing(Vec<Stand>),
}
