"""Machine learning as it is taught: regressions, networks, embeddings.

Owns: learning.  Must not know: fastad.  Next: numerics.py.
"""
import numpy as np

from tests.models import model

X = np.array([[0.5, 1.2, -0.3], [1.0, -0.7, 0.8], [-0.2, 0.4, 1.5], [0.9, 0.1, -1.1]])
LABELS = np.array([0, 2, 1, 2])


@model(np.array([0.3, -0.5, 0.8]), X, np.array([1.0, 0.0, 1.0, 0.0]), 0.1)
def logistic_regression(w, X, y, l2):
    z = X @ w
    return np.mean(np.logaddexp(0, z) - y * z) + l2 * np.sum(w**2)


@model(np.linspace(-0.5, 0.7, 9).reshape(3, 3), X)
def softmax_cross_entropy(W, X):
    logits = X @ W
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(p)), LABELS]))


@model([np.sin(np.arange(12.0)).reshape(3, 4), np.zeros(4) + 0.1, np.cos(np.arange(4.0))], X)
def mlp_list_of_weights(params, X):
    W1, b1, w2 = params
    h = np.tanh(X @ W1 + b1)
    out = h.dot(w2)
    return 0.5 * ((out - np.array([0.1, 0.4, -0.2, 0.9]))**2).mean()


class Dense:
    def __init__(self, w, b, activation):
        self.w, self.b, self.activation = w, b, activation

    def forward(self, x):
        z = np.einsum("ij,nj->ni", self.w, x) + self.b
        if self.activation == "relu":
            return np.maximum(z, 0)
        if self.activation == "softplus":
            return np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0)
        return z


@model({"w1": np.sin(np.arange(6.0) + 1).reshape(2, 3), "b1": np.array([0.3, 0.1]), "w2": np.array([[0.5, -0.8]])}, X,
       smooth=False, analytic=False)
def network_of_objects(p, X):
    layers = [Dense(p["w1"], p["b1"], "relu"), Dense(p["w2"], 0.0, "softplus")]
    a = X
    for layer in layers:
        a = layer.forward(a)
    return a.ravel()


@model(np.sin(np.arange(10.0)), np.array([0.2, 0.9, -0.4]))
def rnn_flat_weights(theta, xs):
    """Weights unpacked from one vector by a moving offset."""
    offset = 0

    def take(shape):
        nonlocal offset
        n = int(np.prod(shape))
        out = theta[offset:offset + n].reshape(shape)
        offset += n
        return out

    Wh, Wx, b, v = take((2, 2)), take((2,)), take((2,)), take((2,))
    h = np.zeros(2)
    for x in xs:
        h = np.tanh(Wh @ h + Wx * x + b)
    return v @ h


@model(np.sin(np.arange(16.0)).reshape(4, 4))
def attention_head(E, scale=2.0):
    Q, K, V = E[:, :2], E[:, 2:], E[:, 1:3]
    scores = Q @ K.T / np.sqrt(scale)
    mask = np.tril(np.ones((4, 4), dtype=bool))
    scores = np.where(mask, scores, -1e9)
    w = np.exp(scores - scores.max(-1, keepdims=True))
    w = w / w.sum(-1, keepdims=True)
    return (w @ V)**2


@model(np.array([0.5, -0.3, 0.2, 0.1, 0.8, -0.6, 0.4, 0.3, -0.2]).reshape(3, 3), np.sin(np.arange(25.0)).reshape(5, 5),
       smooth=False, analytic=False)
def convnet(kernel, image):
    out = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            out[i, j] = np.sum(image[i:i + 3, j:j + 3] * kernel)
    out = np.where(out > 0, out, 0.1 * out)
    pooled = [out[:2, :2].max(), out[:2, 1:].max(), out[1:, :2].max(), out[1:, 1:].max()]
    return np.array(pooled)


@model(X[:3, :2].copy() * 2, 1.5)
def contrastive_distances(emb, margin):
    n = len(emb)
    sq = np.sum(emb**2, axis=1)
    D2 = sq[:, None] + sq[None, :] - 2 * emb @ emb.T
    iu = np.triu_indices(n, 1)
    d = np.sqrt(D2[iu] + 1e-6)
    return np.sum(d**2) + np.sum(np.log1p(np.exp(margin - d)))


@model(np.array([[0.2, 0.9], [1.4, 0.3]]), X[:, :2].copy(), smooth=False, analytic=False)
def k_means_cost(centres, points):
    d = ((points[:, np.newaxis] - centres)**2).sum(axis=2)
    nearest = np.argmin(d, axis=1)
    return np.sum((points - centres[nearest])**2)


@model(np.array([[0.2, 0.9], [1.4, 0.3]]), X[:, :2].copy())
def soft_k_means_updates(centres, points):
    for _ in range(3):
        d = ((points[:, None, :] - centres[None])**2).sum(-1)
        r = np.exp(-2 * d)
        r /= r.sum(1)[:, None]
        centres = (r.T @ points) / r.sum(0)[:, None]
    return centres


@model(np.sin(np.arange(8.0) + 0.5).reshape(4, 2), 2)
def matrix_factorization(U, rank):
    R = np.array([[5.0, 3, 0, 1], [4, 0, 0, 1], [1, 1, 0, 5], [1, 0, 4, 4]])
    loss = 0.0
    for i in range(4):
        for j in range(4):
            if R[i, j] > 0:
                loss += (R[i, j] - U[i] @ U[j, ::-1])**2
    return loss + 0.1 * np.linalg.norm(U)**2 * rank


@model(np.array([0.4, 0.8, 0.3]), X, np.array([0.2, 1.1, -0.3, 0.6]), 5)
def unrolled_gradient_descent(hyper, X, y, steps):
    """The loss after some steps with momentum, as a function of the rates."""
    w, v = np.zeros(3), np.zeros(3)
    for _ in range(steps):
        g = X.T @ (X @ w - y) / len(y) + hyper[2] * w
        v = hyper[1] * v - 0.3 * hyper[0] * g
        w = w + v
    return 0.5 * np.sum((X @ w - y)**2)


@model(np.array([0.3, -0.7, 1.2, 0.5]), analytic=False, smooth=False)
def batch_norm_relu6(x):
    z = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return np.clip(3 * z + 1, 0, 2.7).cumsum()
