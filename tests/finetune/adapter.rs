//! Saved adapters.

use pollster::block_on;
use specola::result::finetune::{HeadInput, Settings, Strategy};
use specola::task::finetune::adapter::{Adapter, AdapterError};

use crate::small_network::*;
use crate::support::without_checksum;

#[test]
fn saved_adapter_predicts_bit_for_bit_as_before() {
    for strategy in Strategy::ALL {
        finetuned(strategy, HeadInput::Flux);
    }
    let from_gp = Settings { start_from_gp: true, ..quick() };
    finetuned_with(&cache(offset_set(60)), Strategy::Lora, from_gp);
    let (adapter, file) = finetuned(Strategy::Residual, HeadInput::Embedding);
    assert!(adapter.card().error > 0.0 && adapter.card().metrics[0].0 == "all");
    // Another network of the same shape.
    let refused = block_on(Adapter::open(&file, &predictor(4))).expect_err("another base");
    assert!(matches!(refused, AdapterError::OtherBase { .. }));
    assert!(refused.to_string().contains("Choose "), "{refused}");
}

#[test]
fn invalid_adapters_are_rejected() {
    let (_, file) =
        finetuned_with(&cache(offset_set(60)), Strategy::Residual, Settings { start_from_gp: true, ..quick() });
    let predictor = predictor(3);
    let open = |bytes: &[u8]| block_on(Adapter::open(bytes, &predictor));
    let mut damaged = file.clone();
    damaged[file.len() / 2] ^= 1;
    assert!(matches!(open(&damaged), Err(AdapterError::Damaged(_))));
    let file = without_checksum(file);
    for length in [0, 7, 8, 40, file.len() / 2, file.len() - 1] {
        assert!(open(&file[..length]).is_err(), "cut at {length}");
    }
    assert!(open(&[0xff; 64]).is_err());
    let error_after = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let (from, mut other) = (from.as_bytes(), file.clone());
        let at = other.windows(from.len()).position(|w| w == from).expect("it is in the header");
        other[at..at + from.len()].copy_from_slice(to.as_bytes());
        open(&other).expect_err("changed").to_string()
    };
    let text = error_after("\\\"format\\\":3", "\\\"format\\\":9");
    assert!(text.contains("format 9") && text.contains("update Specola"), "{text}");
    let text = error_after("\\\"format\\\":3", "\\\"format\\\":1");
    assert!(text.contains("format 1") && text.contains("fine-tune it again"), "{text}");
    error_after("\\\"head_width\\\":16", "\\\"head_width\\\":99");
    error_after("\\\"head_width\\\":16", "\\\"head_width\\\":-1");
    error_after("\\\"residual\\\"", "\\\"resirual\\\"");
    error_after("gp.weights", "gp.weighty");
    // A number in the arrays that is not finite.
    let mut other = file.clone();
    let end = other.len();
    other[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    assert!(open(&other).expect_err("not finite").to_string().contains("not finite"));
    // No changed byte makes the reader panic.
    for i in (0..file.len().min(6000)).step_by(13) {
        let mut other = file.clone();
        other[i] ^= 0x55;
        let _ = open(&other);
    }
}
