"""Attacks: as good as foolbox's, near a known optimum, the same in any batch, the network as it was."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import unitscope as us
from unitscope.errors import NetworkError, UsageError
from unitscope.interventions.attacks import (
    CarliniWagner,
    ProjectedGradient,
    attack_images,
    classify_pixels,
)
from unitscope.networks.network import Network, Preprocessing

IMAGENET = Preprocessing((16, 16), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), channels="bgr")


class Small(nn.Module):
    """Everything that may depend on a batch or on the mode: normalization by batch, dropout."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(self.drop(torch.relu(self.norm(self.conv(x)))).amax((2, 3)))


def make_small(seed=0):
    torch.manual_seed(seed)
    module = Small()
    module.norm.running_mean.uniform_(-0.3, 0.3)
    return Network(module, IMAGENET, tuple("abcd"), "small")


def make_images(count, size=16, seed=0):
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.random((3, size, size), dtype=np.float32)) for _ in range(count)]


def choose_targets(network, images):
    with torch.no_grad():
        return [(int(classify_pixels(network, image).argmax()) + 1) % 4 for image in images]


ATTACKS = [
    CarliniWagner(steps=6, binary_search_steps=3, stepsize=0.05),
    ProjectedGradient("l2", 0.5, 5, seed=3),
    ProjectedGradient("linf", 0.03, 5, seed=3),
]


@pytest.fixture(params=ATTACKS, ids=lambda attack: getattr(attack, "norm", "cw"))
def attack(request):
    return request.param


@pytest.fixture(scope="module")
def foolbox():
    with warnings.catch_warnings():
        # foolbox asks scipy for a name that has moved.
        warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
        import foolbox
    return foolbox


@pytest.fixture(scope="module")
def scenes():
    """The zoo's classifier and three drawn scenes, each with a target."""
    network, source = us.load_network("zoo:scene-classifier"), us.open_source("drawn:count=3,size=64,seed=77")
    images = [torch.from_numpy(source[k].image.copy()).permute(2, 0, 1) / 255 for k in range(3)]
    with torch.no_grad():
        named = [int(classify_pixels(network, image).argmax()) for image in images]
    return network, images, [(name + 5) % 24 for name in named]


@pytest.fixture(scope="module")
def normalized():
    """A network that reads BGR, normalized channel by channel."""
    network = make_small(1)
    images = make_images(12, seed=1)
    network.module.eval()
    return network, images, choose_targets(network, images)


def run_foolbox(foolbox, attack, network, images, targets):
    """What foolbox makes of the same images, all in one batch: success and the length of the change."""

    class InPixels(nn.Module):
        def forward(self, x):
            return network.module(network.preprocessing.normalize(x))

    model = foolbox.PyTorchModel(InPixels().eval(), bounds=(0, 1))
    batch, eps = torch.stack(images), None
    if isinstance(attack, CarliniWagner):
        theirs = foolbox.attacks.L2CarliniWagnerAttack(
            attack.binary_search_steps,
            attack.steps,
            attack.stepsize,
            attack.confidence,
            attack.initial_const,
            abort_early=attack.abort_early,
        )
    else:
        kinds = {
            "l2": foolbox.attacks.L2ProjectedGradientDescentAttack,
            "linf": foolbox.attacks.LinfProjectedGradientDescentAttack,
        }
        step, eps = 2.5 * attack.eps / attack.steps, attack.eps
        theirs = kinds[attack.norm](steps=attack.steps, abs_stepsize=step, random_start=False)
    wanted = foolbox.criteria.TargetedMisclassification(torch.tensor(targets))
    _, found, success = theirs(model, batch, wanted, epsilons=eps)
    network.module.zero_grad()
    return success.numpy(), (found - batch).flatten(1).norm(dim=1).numpy()


@pytest.mark.parametrize("case", ["scenes", "normalized"])
@pytest.mark.parametrize(
    "attack",
    [
        CarliniWagner(3, 12, 0.02, abort_early=False),
        ProjectedGradient("l2", 0.8, 20),
        ProjectedGradient("linf", 3 / 255, 20),
    ],
    ids=["cw", "l2", "linf"],
)
def test_as_good_as_foolbox(case, attack, foolbox, request):
    network, images, targets = request.getfixturevalue(case)
    success, lengths = run_foolbox(foolbox, attack, network, images, targets)
    ours = attack_images(network, images, targets, attack)
    mine = np.array([one.success for one in ours])
    assert success.any()
    assert mine.mean() >= 0.95 * success.mean()
    both = mine & success
    assert np.mean([one.l2 for one, b in zip(ours, both, strict=True) if b]) <= 1.05 * lengths[both].mean()


def test_carlini_wagner_finds_the_nearest_point_across_a_plane():
    rng = np.random.default_rng(0)
    head = nn.Linear(48, 2)
    head.weight.data = torch.from_numpy(rng.standard_normal((2, 48)).astype(np.float32))
    head.bias.data = torch.tensor([8.0, 0.0])
    network = Network(nn.Sequential(nn.Flatten(), head), name="plane")
    images = [0.25 + image / 2 for image in make_images(2, 4)]
    slope = (head.weight[1] - head.weight[0]).detach()
    with torch.no_grad():
        margins = [float(logits[1] - logits[0]) for logits in (classify_pixels(network, i) for i in images)]
    found = attack_images(network, images, [1] * 2, CarliniWagner(7, 80, 0.02, abort_early=False))
    for one, margin in zip(found, margins, strict=True):
        nearest = max(0.0, -margin) / float(slope.norm())
        assert one.success
        assert nearest <= one.l2 + 1e-5
        assert one.l2 <= 1.03 * nearest + 1e-5


def test_a_projected_gradient_is_that_of_the_definition():
    network, attack = make_small(), ProjectedGradient("l2", 0.3, 4)
    network.module.eval()
    (image,) = make_images(1)
    (target,) = choose_targets(network, [image])
    at, tries = image, []
    for step in range(5):
        x = at.clone().requires_grad_()
        logits = classify_pixels(network, x)
        loss = nn.functional.cross_entropy(logits[None], torch.tensor([target]))
        tries.append((int(logits.argmax()) != target, loss.item(), at))
        if step < 4:
            (slope,) = torch.autograd.grad(loss, x)
            change = at - 2.5 * 0.3 / 4 * slope / slope.norm() - image
            at = (image + change * min(1.0, 0.3 / float(change.norm()))).clamp(0, 1)
    (one,) = attack_images(network, [image], [target], attack)
    failed, _, best = min(tries, key=lambda attempt: attempt[:2])
    assert one.success is not failed
    assert torch.allclose(one.image, best, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_image_does_not_depend_on_its_batch(attack, threads):
    network, images = make_small(), make_images(3)
    targets, keys = [0, 1, 2], ["a", "b", "c"]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = attack_images(network, images, targets, attack, keys=keys)
        for order in ([2], [1, 0], [2, 0, 1]):
            parts = ([some[k] for k in order] for some in (images, targets, keys))
            some, aims, names = parts
            for place, one in zip(order, attack_images(network, some, aims, attack, keys=names), strict=True):
                assert one.key == keys[place]
                assert one.success == whole[place].success
                assert torch.equal(one.image, whole[place].image)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit(attack, scenes):
    network, images, targets = scenes
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(attack_images(network, images[:2], targets[:2], attack))
    torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.image, other.image)


def test_random_starts_come_from_the_seed_and_the_key():
    network, (image,) = make_small(), make_images(1)

    def run(key, seed):
        attack = ProjectedGradient("linf", 0.1, 1, stepsize=1e-9, seed=seed)
        return attack_images(network, [image], [0], attack, keys=[key])[0].image

    assert torch.equal(run("a", 0), run("a", 0))
    assert not torch.equal(run("a", 0), run("b", 0))
    assert not torch.equal(run("a", 0), run("a", 1))


def _snapshot(module):
    return copy.deepcopy(
        (
            module.state_dict(),
            [part.training for part in module.modules()],
            [(p.requires_grad, p.grad) for p in module.parameters()],
            [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()],
        )
    )


def assert_same(one, other):
    assert one[1] == other[1]
    assert one[3] == other[3]
    for key, value in one[0].items():
        assert torch.equal(value, other[0][key])
    for (needs, grad), (needed, kept) in zip(one[2], other[2], strict=True):
        assert needs == needed
        assert (grad is None and kept is None) or torch.equal(grad, kept)


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_as_before(attack, fails):
    network = make_small()
    network.module.train()
    network.module.drop.eval()
    network.module.head.bias.requires_grad_(False)
    network.module.conv.weight.grad = torch.ones_like(network.module.conv.weight)
    before = _snapshot(network.module)
    with torch.no_grad():
        if fails:
            with pytest.raises(UsageError):
                attack_images(network, make_images(2), [0, 9], attack)
        else:
            attack_images(network, make_images(2), [0, 1], attack)
        assert not torch.is_grad_enabled()
    assert_same(before, _snapshot(network.module))


@settings(max_examples=25)
@given(
    norm=st.sampled_from(["l2", "linf"]),
    eps=st.floats(1e-3, 1.0),
    steps=st.integers(1, 4),
    seed=st.none() | st.integers(0, 9),
    dark=st.booleans(),
)
def test_results_stay_in_bounds_and_in_the_ball(norm, eps, steps, seed, dark):
    network = make_small()
    image = make_images(1)[0].round() if dark else make_images(1)[0]
    (one,) = attack_images(network, [image], [1], ProjectedGradient(norm, eps, steps, seed=seed))
    assert one.image.min() >= 0
    assert one.image.max() <= 1
    assert getattr(one, norm) <= eps * (1 + 1e-5) + 1e-7
    assert torch.equal(one.original, image)


def test_carlini_wagner_stays_in_bounds_on_black_and_white():
    network, image = make_small(), make_images(1)[0].round()
    (one,) = attack_images(network, [image], choose_targets(network, [image]), CarliniWagner())
    assert one.image.min() >= 0
    assert one.image.max() <= 1


def test_confidence_is_a_margin():
    network, images = make_small(), make_images(3)
    targets = choose_targets(network, images)
    found = attack_images(network, images, targets, CarliniWagner(5, 40, 0.05, confidence=0.5))
    network.module.eval()
    for one in found:
        logits = classify_pixels(network, one.image).detach()
        others = np.delete(logits.numpy(), one.target)
        assert one.success
        assert float(logits[one.target]) - others.max() > 0.5


def test_a_failed_attack_says_so_and_gives_its_best_try(attack):
    network, images = make_small(), make_images(2)
    network.module.head.bias.data[2] = -1e4
    assert [one.success for one in attack_images(network, images, [2, 2], attack)] == [False, False]
    network.module.eval()

    def margin(image):
        logits = classify_pixels(network, image).detach()
        return float(logits[2] - logits[[0, 1, 3]].max())

    for one in attack_images(network, images, [2, 2], attack):
        assert margin(one.image) >= margin(one.original)


def test_a_network_that_names_the_target_already_needs_no_change():
    network, images = make_small(), make_images(2)
    network.module.eval()
    with torch.no_grad():
        targets = [int(classify_pixels(network, image).argmax()) for image in images]
    for one in attack_images(network, images, targets, CarliniWagner(1, 3)):
        assert one.success
        assert one.l2 < 1e-3


def test_no_images_make_no_attacks():
    assert attack_images(make_small(), [], [], CarliniWagner()) == []


def test_normalization_of_pixels_is_that_of_images():
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    assert torch.allclose(IMAGENET.normalize(pixels), IMAGENET.tensor(images), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: CarliniWagner(steps=0), "steps"),
        (lambda: CarliniWagner(binary_search_steps=0), "binary_search_steps"),
        (lambda: CarliniWagner(stepsize=0.0), "stepsize"),
        (lambda: CarliniWagner(initial_const=math.inf), "initial_const"),
        (lambda: CarliniWagner(confidence=-1.0), "confidence"),
        (lambda: ProjectedGradient("l2", -1.0), "eps"),
        (lambda: ProjectedGradient("l2", math.nan), "eps"),
        (lambda: ProjectedGradient("l2", 1.0, stepsize=0.0), "stepsize"),
        (lambda: ProjectedGradient("l2", 1.0, steps=0), "steps"),
    ],
)
def test_attacks_that_cannot_be_are_refused(make, told):
    with pytest.raises(UsageError, match=told):
        make()


def test_wrong_input_is_told(attack):
    network, images = make_small(), make_images(2)
    with pytest.raises(UsageError, match="2 images, 1 targets"):
        attack_images(network, images, [1], attack)
    with pytest.raises(UsageError, match="no class 4; small has 4"):
        attack_images(network, images[:1], [4], attack)
    with pytest.raises(UsageError, match=r"pixels of image 0 go from 0 to 25\d"):
        attack_images(network, [images[0] * 0 + torch.linspace(0, 255, 16)], [1], attack)


class Odd(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.scale = kind, nn.Parameter(torch.ones(1))

    @torch.no_grad()
    def forward(self, x):
        logits = x.mean((2, 3)) * self.scale
        return {"maps": x, "nothing": logits * math.nan, "one": logits[:, :1], "stiff": logits}[self.kind]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("maps", "no logits"),
        ("one", "no logits"),
        ("nothing", "not finite"),
        ("stiff", "no gradient of the logits"),
    ],
)
def test_networks_that_cannot_be_attacked_are_told(kind, told, attack):
    with pytest.raises(NetworkError, match=told):
        attack_images(Network(Odd(kind), name="odd"), make_images(1), [1], attack)
