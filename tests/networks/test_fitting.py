from contextlib import nullcontext

import pytest
import torch

from unitscope.errors import NetworkError
from unitscope.networks.fitting import fit_batch, telling_memory


def make_attempt(limit, tried, wrapped=False):
    def attempt(images):
        tried.append(images)
        if images > limit:
            try:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            except torch.OutOfMemoryError as error:
                if not wrapped:
                    raise
                raise NetworkError("net failed on an input of 8 x 8 pixels") from error

    return attempt


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("limit", "most", "found"), [(1000, 256, 256), (255, 256, 128), (1, 64, 1), (99, 100, 64)]
)
def test_the_largest_power_of_two_is_found_by_halves(limit, most, found, wrapped):
    tried = []
    assert fit_batch(make_attempt(limit, tried, wrapped), "cpu", most) == found
    assert tried == [2**k for k in range(most.bit_length() - 1, found.bit_length() - 2, -1)]


def test_one_image_too_much_is_told_and_other_errors_pass():
    with pytest.raises(NetworkError, match="one image is too much for the memory of cpu; give it smaller"):
        fit_batch(make_attempt(0, []), "cpu")

    def fail(_):
        raise NetworkError("layer gone")

    with pytest.raises(NetworkError, match="layer gone"):
        fit_batch(fail, "cpu")


@pytest.mark.parametrize(
    ("batch", "advice"), [(64, "begin again with --batch-size 32"), (1, "smaller images")]
)
def test_a_full_device_in_the_middle_is_told_with_what_to_give(batch, advice):
    with pytest.raises(NetworkError, match=advice) as told, telling_memory("net", batch):
        make_attempt(0, [], wrapped=True)(1)
    assert "\n" not in str(told.value)
    with pytest.raises(NetworkError, match="layer gone"), telling_memory("net", batch):
        raise NetworkError("layer gone")


@pytest.mark.parametrize(("free", "kept"), [(900, 100), (120, 60)])
def test_a_part_of_a_gpu_is_kept_free_meanwhile_and_what_did_not_fit_is_given_back(monkeypatch, free, kept):
    log, ones = [], torch.ones(1)

    def reserve(size, **options):
        log.append((size, options["device"]))
        return ones

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 1000))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext(log.append(str(device))))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: log.append("given back"))
    monkeypatch.setattr(torch, "empty", reserve)
    assert fit_batch(make_attempt(2, []), "cuda:1", 4) == 2
    assert log == [(kept, "cuda:1"), "cuda:1", "given back", (kept, "cuda:1")]
