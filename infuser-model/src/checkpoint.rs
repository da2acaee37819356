//! Models as Hugging Face folders, and exact resume states. The only module that touches files, and
//! the only `unsafe` of this crate: the memory map of `mapped`.

mod mapped;
mod read;
mod state;
mod stream;
mod write;

pub use read::{Inventory, StoredTensor, inventory, load};
pub use state::{load_state, load_tensors, save_state, save_tensors};
pub use write::{SaveDtype, SaveOptions, save};
