//! Models as Hugging Face folders, and exact resume states. The only module that touches files, and
//! the only `unsafe` of this crate: the memory map of `mapped`.

mod mapped;
mod read;
mod state;
mod write;

pub use read::{Inventory, StoredTensor, inventory, load};
pub use state::{load_state, save_state};
pub use write::{SaveDtype, SaveOptions, save};
