//! `infuser world`.

use std::io::Write;

use infuser_data::{
    files, suite,
    world::{self, Part, Skill},
};

use crate::{args::World, failure::Failure, setup};

pub(crate) fn run(args: &World) -> Result<(), Failure> {
    let skill = if args.recipe == "tiny-seq" { Skill::Sequence } else { Skill::Remainder };
    let set = |part, count| setup::target(skill, part, count);
    let (dev, test) = (set(Part::Dev, args.questions)?, set(Part::Test, args.test_questions)?);
    let documents = world::documents(args.documents, args.unreliable, args.seed);
    let place = |name: &str| args.out.join(name);
    let mut pool = files::Writer::create_below(&place("documents.jsonl"))?;
    for document in &documents {
        pool.line(document)?;
    }
    pool.finish()?;
    suite::write(&place("dev.jsonl"), &dev)?;
    suite::write(&place("test.jsonl"), &test)?;
    let out = args.out.display();
    let page = format!(
        "{} documents, {} dev questions, {} test questions in {out}\n\
         train on them:  infuser train --set data.documents={out}/documents.jsonl --set data.dev={out}/dev.jsonl \
         --set data.test={out}/test.jsonl\n",
        documents.len(),
        dev.len(),
        test.len()
    );
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(page.as_bytes()).map_err(|error| Failure::output("standard output", error))
}
