//! `infuser recipes`.

use std::io::Write;

use crate::{args::Recipes, failure::Failure, recipes};

pub(crate) fn run(args: &Recipes) -> Result<(), Failure> {
    let text = match &args.name {
        Some(name) => recipes::named(&recipes::ALL, name)?.text.to_string(),
        None => {
            let line =
                |recipe: &recipes::Recipe| format!("{:<22} {}\n", recipe.name, recipe.summary());
            recipes::ALL.iter().map(line).collect()
        }
    };
    let mut out = std::io::stdout().lock();
    write!(out, "{text}").map_err(|error| Failure::output("standard output", error))
}
