use infuser_data::answer::{Submission, math};
use std::io::BufRead;
fn main() {
    // lines: {"gold","pred","mode"}
    for line in std::io::stdin().lock().lines() {
        let v: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let gold = v["gold"].as_str().unwrap();
        let pred = v["pred"].as_str().unwrap();
        let s = if v["mode"] == "prediction" {
            Submission::Prediction(pred)
        } else {
            Submission::Response(pred)
        };
        let t = std::time::Instant::now();
        let g = math::grade(s, gold);
        println!(
            "{}",
            serde_json::json!({"verdict": format!("{:?}", g.verdict), "extracted": g.extracted, "us": t.elapsed().as_micros() as u64})
        );
    }
}
