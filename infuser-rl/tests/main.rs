//! Everything that is tested through the public interface. One file a theme:
//!
//! - `base`: the embedded base model and its card
//! - `golden`: advantages, losses and corrections of the published code
//! - `rewards`: rewards, gates and structures of the published code
//! - `laws`: what must hold for any input
//! - `gradients`: each loss against central differences
//! - `modes`: co-training in every mode, on the runs of `world`
//! - `combinations`: settings that make no sense together
//! - `sharing`: one gradient for scores and step
//! - `draws`: what a draw depends on
//! - `update`: the steps of a policy update

mod base;
mod combinations;
mod draws;
mod golden;
mod gradients;
mod laws;
mod modes;
mod rewards;
mod sharing;
mod update;
mod world;
