//! One module a command: plan in, parts built in order, one library call, report.

pub(crate) mod chat;
pub(crate) mod docs;
pub(crate) mod docs_check;
pub(crate) mod doctor;
pub(crate) mod experiment;
pub(crate) mod foresee;
pub(crate) mod generate;
pub(crate) mod grade;
pub(crate) mod inspect;
pub(crate) mod logprobs;
pub(crate) mod parse;
pub(crate) mod pretrain;
pub(crate) mod recipes;
pub(crate) mod report;
pub(crate) mod score;
pub(crate) mod sets;
pub(crate) mod tokenize;
pub(crate) mod train;
pub(crate) mod validate;
pub(crate) mod world;
