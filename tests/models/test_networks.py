"""Networks of images and text: one contract for all, then what is particular to each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smile.models import GPT, LeNet, ResNet7, ResNet18, ViT, from_flax
from smile.models.resnet import FRN
from smile.models.transformer import Block
from smile.models.vit import _patches

RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.normal(size=(3, 16, 16, 3)), jnp.float32)
TOKENS = jnp.asarray(RNG.integers(0, 7, size=(3, 8)))

# Small, and each attribute away from its default.
NETWORKS = {
    "lenet": (LeNet(7, channels=(3, 4), widths=(12, 8)), IMAGES),
    "resnet7": (ResNet7(7, width=4), IMAGES),
    "resnet18": (ResNet18(7, width=4, depths=(1, 2)), IMAGES),
    "vit": (ViT(7, patch=4, embedding=12, depth=2, num_heads=3, mlp_width=16, head_width=8), IMAGES),
    "gpt": (GPT(7, context=8, embedding=12, depth=2, num_heads=3, mlp_width=16), TOKENS),
}
each_network = pytest.mark.parametrize(("module", "x"), NETWORKS.values(), ids=NETWORKS)


def shapes(module, x):
    return jax.eval_shape(from_flax(module).init, jax.random.key(0), x)


def jittered(module, x, seed=1):
    """Parameters like those of a sampler: kernels at the scale of their fans, nothing at its zero or one."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        is_kernel = path[-1].key in ("kernel", "embedding")
        mean = 1.0 if path[-1].key in ("gamma", "scale") else 0.0
        sd = np.prod(leaf.shape[:-1]) ** -0.5 if is_kernel else 0.1
        return jnp.asarray(mean + sd * rng.normal(size=leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes(module, x))


def jitted(module):
    return jax.jit(from_flax(module).apply)


def log_likelihood(module, x):
    return lambda params: jnp.sum(jax.nn.log_softmax(from_flax(module).apply(params, x))[..., 0])


def close(a, b, rtol=1e-5, atol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), a, b)


@pytest.mark.parametrize(
    ("module", "shape", "number"),
    [
        (LeNet(10), (1, 28, 28, 1), 61_706),
        (ResNet7(10), (1, 32, 32, 3), 428_272),
        (ResNet18(10), (1, 32, 32, 3), 11_178_782),
        (ViT(10), (1, 160, 160, 3), 22_032_522),
        (GPT(65), (1, 256), 10_770_048),
    ],
    ids=NETWORKS,
)
def test_published_number_of_parameters(module, shape, number):
    x = jax.ShapeDtypeStruct(shape, jnp.int32 if len(shape) == 2 else jnp.float32)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(module, x))) == number


@each_network
def test_float32_parameters_and_outputs_of_either_computation(module, x):
    params = jittered(module, x)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))
    half = module.clone(dtype=jnp.bfloat16)
    assert shapes(half, x) == shapes(module, x)
    expected, outputs = jitted(module)(params, x), jitted(half)(params, x)
    assert expected.dtype == outputs.dtype == jnp.float32
    assert expected.shape == (*x.shape[:2], 7) if x.ndim == 2 else (x.shape[0], 7)
    # bfloat16 keeps 8 bits: an error of a few parts in 256 of the scale of the outputs, not none.
    error = float(jnp.max(jnp.abs(outputs - expected)) / jnp.std(expected))
    assert 1e-5 < error < 0.1


@each_network
def test_gradients_reach_every_parameter_and_are_finite(module, x):
    gradient = jax.jit(jax.grad(log_likelihood(module, x)))(jittered(module, x))
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.all(np.isfinite(leaf)), path
        # Behind an addition of what is positive a threshold may touch nothing.
        assert np.any(leaf != 0) or path[-1].key == "tau", path


@each_network
def test_vmap_over_parameters_is_a_loop(module, x):
    apply = jitted(module)
    many = [jittered(module, x, seed) for seed in (1, 2)]
    together = jax.vmap(apply, (0, None))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *many), x)
    close(together, jnp.stack([apply(params, x) for params in many]))


@each_network
def test_rows_do_not_depend_on_each_other(module, x):
    params, apply = jittered(module, x), jitted(module)
    close(apply(params, x)[1:2], apply(params, x[1:2]))


@pytest.mark.parametrize(("module", "x"), [NETWORKS[n] for n in ("resnet18", "vit", "gpt")])
def test_remat_changes_nothing(module, x):
    params, again = jittered(module, x), module.clone(remat=True)
    assert shapes(again, x) == shapes(module, x)
    value_and_grad = [jax.jit(jax.value_and_grad(log_likelihood(m, x)))(params) for m in (module, again)]
    close(*value_and_grad)
    assert "remat" in str(jax.make_jaxpr(log_likelihood(again, x))(params))


@pytest.mark.parametrize("module", [ResNet7(10, width=4), ResNet18(10, width=4)])
def test_digits_are_large_enough_for_a_resnet(module):
    x = IMAGES[:, :8, :8, :1]
    assert jnp.all(jnp.isfinite(jitted(module)(jittered(module, x), x)))


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (LeNet(10), jnp.zeros((1, 8, 8, 1)), "at least 12x12 pixels, got 8x8"),
        (LeNet(10), jnp.zeros((1, 28, 11, 1)), "at least 12x12 pixels, got 28x11"),
        (ResNet7(10), jnp.zeros((1, 7, 8, 1)), "at least 8x8 pixels, got 7x8"),
        (ViT(10), jnp.zeros((1, 32, 40, 3)), "patches of 16x16 pixels do not tile an image of 32x40"),
        (ViT(10, num_heads=5), jnp.zeros((1, 32, 32, 3)), "5 heads do not divide a width of 384"),
        (GPT(65, context=8), jnp.zeros((1, 9), jnp.int32), "9 tokens exceed the context of 8"),
    ],
)
def test_inputs_that_do_not_fit(module, x, message):
    with pytest.raises(ValueError, match=message):
        shapes(module, x)


def test_lenet_at_its_smallest():
    assert shapes(LeNet(10), jnp.zeros((1, 12, 12, 1)))["Dense_0"]["kernel"].shape == (16, 120)


def test_lenet_flattens_to_400():
    assert shapes(LeNet(10), jnp.zeros((1, 28, 28, 1)))["Dense_0"]["kernel"].shape == (400, 120)


def frn(x, eps, gamma, beta, tau):
    """The formula, channel by channel."""
    y = np.empty_like(x)
    for row in range(x.shape[0]):
        for channel in range(x.shape[-1]):
            plane = x[row, :, :, channel]
            normed = plane / np.sqrt(np.mean(plane**2) + abs(eps[0]))
            y[row, :, :, channel] = np.maximum(gamma[channel] * normed + beta[channel], tau[channel])
    return y


@pytest.mark.parametrize("eps", [1e-6, 0.7, -0.7])
def test_frn_is_its_formula(eps):
    x = RNG.normal(size=(2, 4, 6, 5))
    gamma, beta, tau = RNG.normal(size=(3, 5))
    params = {"eps": jnp.array([eps], jnp.float32)}
    params |= {
        name: jnp.asarray(value, jnp.float32).reshape(1, 1, 1, 5)
        for name, value in (("gamma", gamma), ("beta", beta), ("tau", tau))
    }
    x32 = jnp.asarray(x, jnp.float32)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes(FRN(), x32))
    close(FRN().apply({"params": params}, x32), frn(x, [eps], gamma, beta, tau))


def conv(x, params, stride=1):
    """SAME convolution of (rows, H, W, C), by XLA."""
    y = jax.lax.conv_general_dilated(
        x, params["kernel"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + params.get("bias", 0)


def rectified(x, params):
    return FRN().apply({"params": params}, x)


def test_resnet7_is_its_layers_in_order():
    params = jittered(ResNet7(10, width=4), IMAGES)
    assert [params[f"Conv_{i}"]["kernel"].shape for i in range(6)] == [
        (3, 3, 3, 4),
        (3, 3, 4, 8),
        (3, 3, 8, 8),
        (3, 3, 8, 16),
        (3, 3, 16, 16),
        (3, 3, 16, 16),
    ]
    x = IMAGES
    for i in range(6):
        before = x
        x = rectified(conv(x, params[f"Conv_{i}"]), params[f"FRN_{i}"])
        if i in (1, 3, 4):
            rows, height, width, channels = x.shape
            x = x.reshape(rows, height // 2, 2, width // 2, 2, channels).max((2, 4))
    x = (before + x).mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]
    close(jitted(ResNet7(10, width=4))(params, IMAGES), x)


def test_resnet18_is_its_layers_in_order():
    module = ResNet18(10, width=4)
    params = jittered(module, IMAGES)
    x = rectified(conv(IMAGES, params["Conv_0"]), params["FRN_0"])
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
    for stage in range(4):
        for i in range(2):
            p = params[f"stage_{stage}_block_{i}"]
            stride = 2 if stage and not i else 1
            y = rectified(conv(x, p["conv_0"], stride), p["frn_0"])
            y = conv(y, p["conv_1"])
            if stride == 2:
                x = rectified(conv(x, p["shortcut_conv"], 2), p["shortcut_frn"])
            x = rectified(y + x, p["frn_1"])
    x = x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]
    close(jitted(module)(params, IMAGES), x)


def test_vit_has_a_token_per_patch_and_one_for_the_class():
    params = shapes(ViT(10), jnp.zeros((1, 160, 160, 3)))
    assert params["position"].shape == (1, 101, 384)
    assert params["class_token"].shape == (1, 1, 384)


def test_vit_patches_are_a_strided_convolution():
    params = jittered(*NETWORKS["vit"])["patches"]
    kernel = params["kernel"].reshape(4, 4, 3, 12)
    expected = jax.lax.conv_general_dilated(
        IMAGES, kernel, (4, 4), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    close(_patches(IMAGES, 4) @ params["kernel"], expected.reshape(3, 16, 12))


@pytest.mark.parametrize("sd", [0.02, 1.0])
def test_vit_starts_its_tokens_at_the_given_scale(sd):
    module = ViT(10, patch=4, embedding=64, depth=1, num_heads=1, mlp_width=2, head_width=2, token_sd=sd)
    position = jax.jit(from_flax(module).init)(jax.random.key(0), IMAGES)["position"]
    # The standard deviation of 17 * 64 normals, to 4 of its own standard errors.
    assert abs(float(position.std()) / sd - 1) < 4 / np.sqrt(2 * position.size)


def test_a_token_does_not_see_those_after_it():
    module, x = NETWORKS["gpt"]
    params, apply = jittered(module, x), jitted(module)
    before = apply(params, x)
    after = apply(params, x.at[:, 5].set((x[:, 5] + 1) % 7))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert jnp.all(jnp.any(before[:, 5:] != after[:, 5:], axis=-1))


def test_a_shorter_text_is_a_prefix():
    module, x = NETWORKS["gpt"]
    params, apply = jittered(module, x), jitted(module)
    close(apply(params, x)[:, :3], apply(params, x[:, :3]))


def layer_norm(x, params):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6) * params["scale"]


def attention(x, params, num_heads):
    """Causal, row by row and head by head, over sums that stop at the token."""
    q, k, v = (x @ params[name]["kernel"] for name in ("query", "key", "value"))
    size = x.shape[-1] // num_heads
    mixed = np.zeros_like(x)
    for row in range(x.shape[0]):
        for t in range(x.shape[1]):
            for head in range(num_heads):
                part = slice(head * size, (head + 1) * size)
                weights = np.exp(k[row, : t + 1, part] @ q[row, t, part] / np.sqrt(size))
                mixed[row, t, part] = weights / weights.sum() @ v[row, : t + 1, part]
    return mixed @ params["out"]["kernel"]


def mlp(x, params):
    hidden = x @ params["Dense_0"]["kernel"]
    hidden = hidden / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    return hidden @ params["Dense_1"]["kernel"]


@pytest.mark.parametrize("reference", [False, True])
def test_block_in_numpy(reference):
    x = RNG.normal(size=(2, 5, 12))
    module = Block(3, 16, True, False, reference, jnp.float32)
    p = jittered(module, jnp.asarray(x, jnp.float32))
    outputs = module.apply({"params": p}, jnp.asarray(x, jnp.float32))
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), p)
    normed = layer_norm(x, p["attention_norm"])
    x = (normed if reference else x) + attention(normed, p["attention"], 3)
    normed = layer_norm(x, p["mlp_norm"])
    x = (normed if reference else x) + mlp(normed, p["mlp"])
    close(outputs, x)


def test_reference_residual_is_another_network_with_the_same_parameters():
    module, x = NETWORKS["gpt"]
    reference = module.clone(reference_residual=True)
    assert shapes(reference, x) == shapes(module, x)
    params = jittered(module, x)
    difference = jitted(module)(params, x) - jitted(reference)(params, x)
    assert jnp.all(jnp.any(jnp.abs(difference) > 1e-2, axis=-1))
