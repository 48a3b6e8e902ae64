"""Text encoders and recognizers in transformers' folders: the library's own answers, and what is refused."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_text import GOOD, LANGUAGES, WIDTH, write_tiny_recognizer, write_tiny_text
from tiny_whisper import needs_transformers, write_tiny_whisper

from crnn.errors import InputError
from crnn.models.pretrained import leveled
from crnn.models.recognizer import open_recognizer
from crnn.models.text_encoder import open_text_encoder

needs_transformers()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_tiny_text(tmp_path_factory.mktemp("text") / "bert")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return write_tiny_recognizer(tmp_path_factory.mktemp("text") / "whisper")


def test_tokens_are_the_librarys_and_their_mean_is_the_embedding(bert):
    from transformers import BertModel, PreTrainedTokenizerFast

    encoder = open_text_encoder(bert)
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(bert / "tokenizer.json"))(
        f"the day was {GOOD}", return_tensors="pt"
    )
    with torch.no_grad():
        states = BertModel.from_pretrained(bert).eval()(**theirs).last_hidden_state[0]
    tokens = encoder.tokens(f"the day was {GOOD}")
    assert (tokens.shape, tokens.dtype) == ((8, WIDTH), np.float16), "six words between [CLS] and [SEP]"
    assert np.abs(tokens - states.numpy()).max() < 0.01
    assert encoder.tokens("").shape == (2, WIDTH), "nothing is said: its beginning and its end"
    assert encoder.tokens("day " * 50).shape == (12, WIDTH), "max_seq_length"
    assert encoder.describe() == {
        "family": "bert", "name": "bert", "sha256": encoder.sha256, "use": "text"
    }  # fmt: skip


@pytest.mark.parametrize("language", ["", "de"])
def test_a_transcript_is_the_most_probable_token_at_each_place(whisper, language):
    """Decoded again without a cache, and with all places of the decoder at once."""
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    recognizer = open_recognizer(whisper, language)
    model = WhisperForConditionalGeneration.from_pretrained(whisper).eval()
    features, seen = WhisperFeatureExtractor(feature_size=80, chunk_length=1), set()
    for seed in range(4):
        clip = 0.1 * np.random.default_rng(seed).normal(size=9000).astype(np.float32)
        log_mel = features(leveled(clip), sampling_rate=16000, return_tensors="pt").input_features

        def next_token(tokens, among, log_mel=log_mel):
            with torch.no_grad():
                scores = model(input_features=log_mel, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
            return among[int(scores[[*among]].argmax())]

        end, start, english, german, transcribe, plain = range(10, 16)  # behind nine words and [UNK]
        words = range(end + 1)
        tokens = [start, german if language else next_token([start], (english, german)), transcribe, plain]
        while len(tokens) < 16 and (token := next_token(tokens, words)) != end:
            tokens.append(token)
        vocabulary = {
            place: word
            for word, place in json.loads((whisper / "tokenizer.json").read_text())["model"]["vocab"].items()
        }
        expected = " ".join(vocabulary[token] for token in tokens[4:])
        assert recognizer.transcribe(clip) == expected
        seen.add(expected)
    assert len(seen) > 1, "depends on the sound"
    assert open_recognizer(whisper, "de").key != open_recognizer(whisper, "").key


def test_folders_that_are_none_are_one_line(bert, whisper, tmp_path):
    def broken(folder, file, text):
        made = shutil.copytree(folder, Path(tempfile.mkdtemp(dir=tmp_path)) / folder.name)
        (made / file).write_text(text) if text else (made / file).unlink()
        return made

    cls = '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}'
    dense = json.dumps(
        [{"type": f"sentence_transformers.models.{kind}"} for kind in ("Transformer", "Pooling", "Dense")]
    )
    query = '{"prompts": {"query": "query: "}, "default_prompt_name": "query"}'
    few = {**json.loads((bert / "config.json").read_text()), "vocab_size": 11}
    fewer = {**json.loads((whisper / "config.json").read_text()), "vocab_size": 11}
    no_tokenizer = write_tiny_whisper(tmp_path / "encoder-alone")
    for opened, folder, says in (
        (open_text_encoder, tmp_path / "nowhere", "nowhere: no text encoder"),
        (open_text_encoder, whisper, "model_type is 'whisper'.*bert"),
        (open_text_encoder, broken(bert, "tokenizer.json", ""), "tokenizer.json: no such file"),
        (open_text_encoder, broken(bert, "1_Pooling/config.json", cls), "pools by 'pooling_mode_cls_token'.*mean"),
        (open_text_encoder, broken(bert, "modules.json", dense), "modules.json: lists .*'Dense'; text encoders of"),
        (open_text_encoder, broken(bert, "modules.json", '{"0": 1}'), "modules.json: lists nothing"),
        (open_text_encoder, broken(bert, "config_sentence_transformers.json", query), "puts 'query: ' before every"),
        (open_text_encoder, broken(bert, "config.json", json.dumps(few)), "a token 11, and vocab_size .* is 11"),
        (open_recognizer, broken(whisper, "config.json", json.dumps(fewer)), "a token 15, and vocab_size .* is 11"),
        (open_text_encoder, broken(bert, "model.safetensors", ""), "no .safetensors"),
        (open_recognizer, bert, "model_type is 'bert'.*whisper"),
        (open_recognizer, no_tokenizer, "tokenizer.json: no such file"),
        (open_recognizer, broken(whisper, "tokenizer.json", '{"version": "1.0"}'), "tokenizer.json: cannot be opened"),
    ):
        with pytest.raises(InputError, match=says) as refused:
            opened(folder)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match=r"text.language is 'xx'.*de, en"):
        open_recognizer(whisper, "xx")
    assert len(open_recognizer(whisper).languages) == len(LANGUAGES)


def test_what_the_folder_says_of_its_texts_holds(bert, tmp_path):
    """Lower case, and the files of a model that sentence-transformers made."""
    folder = shutil.copytree(bert, tmp_path / "lower")
    kinds = ("models.Transformer", "models.Pooling", "models.Normalize")
    (folder / "modules.json").write_text(json.dumps([{"type": f"sentence_transformers.{kind}"} for kind in kinds]))
    said = '{"prompts": {"query": "", "document": "d: "}, "default_prompt_name": null}'
    (folder / "config_sentence_transformers.json").write_text(said)
    assert open_text_encoder(folder).key == open_text_encoder(bert).key
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 12, "do_lower_case": true}')
    lower, plain = open_text_encoder(folder), open_text_encoder(bert)
    assert lower.key != plain.key
    assert np.array_equal(lower.tokens("The DAY"), plain.tokens("the day"))
    assert not np.array_equal(plain.tokens("The DAY"), plain.tokens("the day")), "words that it does not know"


def test_weights_that_lack_a_layer_are_refused(bert, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(bert, tmp_path / "bert")
    weights = {name: value for name, value in load_file(folder / "model.safetensors").items() if "layer.1" not in name}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="its weights lack encoder.layer.1"):
        open_text_encoder(folder).tokens("good")
