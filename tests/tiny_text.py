"""A text encoder and a speech recognizer with random weights, in transformers' folders, as tests/tiny_whisper.py has
them of speech encoders."""

from pathlib import Path

from tiny_whisper import needs_transformers

GOOD, BAD = "good fine lovely", "awful bad terrible"
WORDS = tuple(f"{GOOD} {BAD} the day was".split())
WIDTH = 16
LANGUAGES = ("<|en|>", "<|de|>")
CONTROL = ("<|endoftext|>", "<|startoftranscript|>", *LANGUAGES, "<|transcribe|>", "<|notimestamps|>")


def write_tokenizer(folder: Path, special: tuple[str, ...], before: tuple[str, ...], after: tuple[str, ...]) -> int:
    """A word is a token; `special` ones follow the words, `before` and `after` stand around a text. How many there
    are."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

    places = {word: place for place, word in enumerate((*WORDS, "[UNK]"))}
    tokenizer = Tokenizer(models.WordLevel(places, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    named = [(token, tokenizer.token_to_id(token)) for token in (*before, *after)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=" ".join((*before, "$A", *after)), special_tokens=named
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer.get_vocab_size()


def write_tiny_text(folder: Path, seed: int = 0) -> Path:
    """A BERT of two layers, as sentence-transformers saves it."""
    needs_transformers()
    import torch
    from transformers import BertConfig, BertModel

    n = write_tokenizer(folder, ("[CLS]", "[SEP]"), ("[CLS]",), ("[SEP]",))
    torch.manual_seed(seed)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=n, max_position_embeddings=32, initializer_range=0.3, **sizes)).save_pretrained(
        folder
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(
        '{"word_embedding_dimension": 16, "pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}'
    )
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": false}')
    return folder


def write_tiny_recognizer(folder: Path, seed: int = 0) -> Path:
    """A Whisper that takes one second, with a word as a token."""
    needs_transformers()
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    n = write_tokenizer(folder, CONTROL, CONTROL[1:2], CONTROL[:1])
    torch.manual_seed(seed)
    sizes = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    tokens = {"pad_token_id": 10, "bos_token_id": 10, "eos_token_id": 10, "decoder_start_token_id": 11}
    layers = {"encoder_layers": 2, "decoder_layers": 2, "max_source_positions": 50, "max_target_positions": 16}
    config = WhisperConfig(vocab_size=n, d_model=16, init_std=0.6, **sizes, **tokens, **layers)
    WhisperForConditionalGeneration(config).save_pretrained(folder)
    return folder
