"""Segmenters of the transformers library and of ONNX files: random weights, every label by hand."""

import json

import numpy as np
import pytest
import torch

from unitscope.concepts.segmented import SegmentedSource
from unitscope.errors import NetworkError, SourceError, UsageError
from unitscope.networks.load import load_network
from unitscope.networks.network_sources import load_segmenter
from unitscope.networks.open_source import open_source
from unitscope.networks.segmentation.channel_names import name_channels, read_names

transformers = pytest.importorskip("transformers")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

LABELS = {0: "background", 1: "sky", 2: "brick", 3: "door"}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 48, 40, 3), dtype=np.uint8)


def named(config, kind):
    config.id2label = dict(LABELS)
    config.label2id = {name: number for number, name in LABELS.items()}
    config.architectures = [kind]
    return config


def segformer():
    config = transformers.SegformerConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1] * 4, num_attention_heads=[1] * 4, decoder_hidden_size=8
    )
    return named(config, "SegformerForSemanticSegmentation")


def upernet():
    stages = [f"stage{k}" for k in range(1, 5)]
    inner = transformers.ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4, out_features=stages)
    config = transformers.UperNetConfig(backbone_config=inner, hidden_size=8, use_auxiliary_head=False)
    return named(config, "UperNetForSemanticSegmentation")


def mask2former():
    stages = [f"stage{k}" for k in range(1, 5)]
    inner = transformers.SwinConfig(
        embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=stages
    )
    config = transformers.Mask2FormerConfig(
        backbone_config=inner, feature_size=32, mask_feature_size=32, hidden_dim=32, num_queries=5,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16,
        encoder_feedforward_dim=16,
    )  # fmt: skip
    return named(config, "Mask2FormerForUniversalSegmentation")


def clipseg():
    layers = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {
        "vocab_size": 600,
        "max_position_embeddings": 12,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    config = transformers.CLIPSegConfig(
        text_config={**layers, **tokens},
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        extract_layers=[0, 1],
        projection_dim=16,
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    config.architectures = ["CLIPSegForImageSegmentation"]
    return config


def write_tokenizer(folder):
    letters = [chr(k) for k in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "net").mkdir()
    return tmp_path / "net"


@pytest.mark.parametrize("make", [segformer, upernet, mask2former])
def test_a_configuration_with_random_weights_names_pixels_as_the_library_does(folder, make):
    config = make()
    config.save_pretrained(folder)
    found = load_segmenter(f"hf:{folder},random=3")
    assert [(c.id, c.name, c.category) for c in found.vocabulary] == [
        (2, "sky", "object"), (3, "brick", "object"), (4, "door", "object"),
    ]  # fmt: skip
    planes = found(IMAGES)
    assert planes.shape == (3, 1, 48, 40)
    assert set(np.unique(planes)) <= {0, 2, 3, 4}
    assert np.array_equal(found(IMAGES[1:2])[0], planes[1])
    module = found.network.module.module
    size = found.network.preprocessing.size
    resized = torch.from_numpy(np.random.default_rng(1).integers(0, 256, (1, *size, 3), dtype=np.uint8))
    pixels = found.network.preprocessing.tensor(resized.numpy())
    with torch.inference_mode():
        outputs = module(pixel_values=pixels)
    if make is mask2former:
        processor = transformers.Mask2FormerImageProcessor()
        wanted = processor.post_process_semantic_segmentation(outputs, target_sizes=[size])[0]
        # The library enlarges the masks in two steps.
        least = 0.95
    else:
        logits = torch.nn.functional.interpolate(outputs.logits, size, mode="bilinear", align_corners=False)
        wanted, least = logits.argmax(1)[0], 1.0
    ids = np.array([0, 2, 3, 4])[wanted.numpy()]
    assert (found(resized.numpy())[0, 0] == ids).mean() >= least
    assert load_segmenter(f"hf:{folder},random=3").digest == found.digest
    assert load_segmenter(f"hf:{folder},random=4").digest != found.digest


def test_weights_of_a_folder_and_categories_of_a_file(folder, tmp_path):
    torch.manual_seed(0)
    model = transformers.SegformerForSemanticSegmentation(segformer()).eval()
    model.save_pretrained(folder)
    processor = {"image_processor_type": "SegformerImageProcessor", "size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (tmp_path / "names.json").write_text(json.dumps({"brick": "material", "door": ""}))
    found = load_segmenter(f"hf:{folder},names={tmp_path / 'names.json'}")
    assert [(c.id, c.category) for c in found.vocabulary] == [(2, "object"), (3, "material")]
    assert found.network.preprocessing.size == (32, 32)
    assert found.planes == ((0, 2, 3, 0),)
    assert load_segmenter(f"hf:{folder}").digest != found.digest
    source = open_source(f"segmenter:hf:{folder},images=drawn:count=2,size=64")
    assert isinstance(source, SegmentedSource)
    again = open_source(source.spec)
    assert np.array_equal(again[1].planes, source[1].planes)
    (tmp_path / "names.json").write_text(json.dumps(["brick", "bric"]))
    with pytest.raises(UsageError, match="has 'bric', which the network does not name"):
        load_segmenter(f"hf:{folder},names={tmp_path / 'names.json'}")


def test_clipseg_finds_phrases(folder):
    clipseg().save_pretrained(folder)
    with pytest.raises(UsageError, match="needs phrases"):
        load_segmenter(f"hf:{folder},random=0")
    with pytest.raises(NetworkError, match="no tokenizer"):
        load_segmenter(f"hf:{folder},random=0,phrases=tree")
    write_tokenizer(folder)
    found = load_segmenter(f"hf:{folder},random=0,phrases=tree|old house")
    assert [(c.id, c.name) for c in found.vocabulary] == [(2, "tree"), (3, "old house")]
    planes = found(IMAGES)
    assert set(np.unique(planes)) <= {0, 2, 3}
    batch = found.network.preprocessing.tensor(np.zeros((2, 32, 32, 3), np.uint8))
    with torch.inference_mode():
        logits = found.network.module(batch)
        phrases = found.network.module
        single = phrases.module(
            pixel_values=batch[:1], input_ids=phrases.tokens[1:], attention_mask=phrases.mask[1:]
        ).logits
    assert logits.shape == (2, 3, 32, 32)
    assert not logits[:, 0].any()
    assert torch.allclose(logits[0, 2], single.reshape(32, 32), atol=1e-5)
    other = load_segmenter(f"hf:{folder},random=0,phrases=tree|sky")
    assert other.digest != found.digest


def write_onnx(path, size=("y", "x"), batch="n", numbers=False):
    """A graph that calls a pixel by its brightest channel: class 1 red, 2 green, 3 blue; 0 is nothing."""
    from onnx import TensorProto, helper

    shape = [batch, 3, *size]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    weight = np.concatenate([np.zeros((1, 3)), np.eye(3)]).reshape(4, 3, 1, 1).astype(np.float32)
    first = helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.ravel())
    nodes = [helper.make_node("Conv", ["image", "w"], ["logits"])]
    kind, out = TensorProto.FLOAT, [batch, 4, *size]
    if numbers:
        nodes.append(helper.make_node("ArgMax", ["logits"], ["classes"], axis=1, keepdims=0))
        kind, out = TensorProto.INT64, [batch, *size]
    result = helper.make_tensor_value_info("classes" if numbers else "logits", kind, out)
    graph = helper.make_graph(nodes, "brightest", [image], [result], [first])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize(("size", "batch"), [(("y", "x"), "n"), ((48, 40), 1), ((24, 20), 2)])
def test_an_onnx_file_names_pixels(tmp_path, numbers, size, batch):
    write_onnx(tmp_path / "net.onnx", size, batch, numbers)
    (tmp_path / "names.csv").write_text("name,category\nbackground,\nred,color\ngreen,color\nblue,color\n")
    images = IMAGES[:2]
    found = load_segmenter(f"{tmp_path / 'net.onnx'},names={tmp_path / 'names.csv'},input=unit")
    assert next((c.id, c.name, c.category) for c in found.vocabulary) == (2, "red", "color")
    planes = found(images)
    assert planes.shape == (2, 1, 48, 40)
    if size != (24, 20):
        assert np.array_equal(planes[:, 0], images.argmax(3) + 2)
    assert np.array_equal(found(images[:1] if batch != 2 else images)[0], planes[0])
    write_onnx(tmp_path / "other.onnx", size, batch, not numbers)
    other = load_segmenter(f"{tmp_path / 'other.onnx'},names={tmp_path / 'names.csv'},input=unit")
    assert other.digest != found.digest


def test_a_generators_images_are_labelled_by_an_onnx_file(tmp_path):
    write_onnx(tmp_path / "net.onnx")
    (tmp_path / "names.json").write_text(json.dumps(["-", "red", "green", "blue"]))
    generator = load_network("zoo:generator")
    spec = f"segmenter:{tmp_path / 'net.onnx'},names={tmp_path / 'names.json'},input=unit,count=3,seed=2"
    source = open_source(spec, generator)
    assert len(source) == 3
    assert np.array_equal(source[2].planes[0], source[2].image.argmax(2) + 2)
    assert len(open_source(source.spec)) == 3


def test_names_are_read_in_order_and_told_where_wrong(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("name\nsky\nBackground\ndoor\n")
    assert read_names(path) == {"sky": "object", "Background": "", "door": "object"}
    for text, said in (("label\nsky\n", "no column 'name'"), ("name\nsky\nsky\n", "'sky' twice")):
        path.write_text(text)
        with pytest.raises(SourceError, match=said):
            read_names(path)
    with pytest.raises(SourceError, match="cannot read"):
        read_names(tmp_path / "none.json")
    (tmp_path / "a.json").write_text('{"sky": 3}')
    with pytest.raises(SourceError, match="wanted"):
        read_names(tmp_path / "a.json")
    with pytest.raises(UsageError, match="no channel"):
        name_channels(["background"])


def test_what_is_no_segmenter_is_told(folder, tmp_path):
    transformers.ConvNextConfig(hidden_sizes=[8] * 4, depths=[1] * 4).save_pretrained(folder)
    (tmp_path / "names.json").write_text(json.dumps(["-", "red", "green"]))
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    write_onnx(tmp_path / "net.onnx")
    write_onnx(tmp_path / "numbers.onnx", numbers=True)
    names = f"names={tmp_path / 'names.json'}"
    for spec, kind, said in (
        (f"hf:{folder},random=0", NetworkError, "which names no pixels"),
        (f"hf:{folder},random=x", UsageError, "random='x': wanted a whole number"),
        (f"hf:{folder},sort=1", UsageError, "no option 'sort'"),
        (f"hf:{tmp_path / 'none'}", NetworkError, "no folder"),
        ("none.onnx", UsageError, "no file none.onnx"),
        (f"{tmp_path / 'net.onnx'}", UsageError, "add names=FILE"),
        (f"{tmp_path / 'net.onnx'},{names},input=bgr", UsageError, "wanted imagenet"),
        (f"{tmp_path / 'bad.onnx'},{names}", NetworkError, "no ONNX file"),
    ):
        with pytest.raises(kind, match=said) as told:
            load_segmenter(spec)
        assert "\n" not in str(told.value)
    with pytest.raises(NetworkError, match="wanted logits of 3 channels"):
        load_segmenter(f"{tmp_path / 'net.onnx'},{names}")(IMAGES)
    with pytest.raises(NetworkError, match="gave class 3, and 3 are named"):
        load_segmenter(f"{tmp_path / 'numbers.onnx'},{names}")(IMAGES)
