"""Lesson 7: a neural network with two layers; gradients of all its parameters by name.

A network is a function like any other.  Its parameters stand in a dict, and the gradient of the loss comes back as a
dict of the same structure: one reverse pass for all of them, which is backpropagation.  Training is nothing but steps
against that gradient, here all flowers at once and with momentum.

The data are Fisher's measurements of 150 irises of three species; every fifth flower is kept for the test.

    python 07_neural_network.py [--output DIR]        back to README.md
"""
import numpy as np
from lesson import pictures, save, section

import fastad as ad
from fastad import optimize

# R. A. Fisher, The use of multiple measurements in taxonomic problems, Annals of Eugenics 7 (1936), 179-188, table I.
# Sepal length and width, petal length and width, in mm, two digits each.
IRIS = {
    "setosa": """
        51351402 49301402 47321302 46311502 50361402 54391704 46341403 50341502 44291402 49311501
        54371502 48341602 48301401 43301101 58401202 57441504 54391304 51351403 57381703 51381503
        54341702 51371504 46361002 51331705 48341902 50301602 50341604 52351502 52341402 47321602
        48311602 54341504 52411501 55421402 49311502 50321202 55351302 49361401 44301302 51341502
        50351303 45231303 44321302 50351606 51381904 48301403 51381602 46321402 53371502 50331402
    """,
    "versicolor": """
        70324714 64324515 69314915 55234013 65284615 57284513 63334716 49243310 66294613 52273914
        50203510 59304215 60224010 61294714 56293613 67314414 56304515 58274110 62224515 56253911
        59324818 61284013 63254915 61284712 64294313 66304414 68284814 67305017 60294515 57263510
        55243811 55243710 58273912 60275116 54304515 60344516 67314715 63234413 56304113 55254013
        55264412 61304614 58264012 50233310 56274213 57304212 57294213 62294313 51253011 57284113
    """,
    "virginica": """
        63336025 58275119 71305921 63295618 65305822 76306621 49254517 73296318 67255818 72366125
        65325120 64275319 68305521 57255020 58285124 64325323 65305518 77386722 77266923 60225015
        69325723 56284920 77286720 63274918 67335721 72326018 62284818 61304918 64285621 72305816
        74286119 79386420 64285622 63285115 61265614 77306123 63345624 64315518 60304818 69315421
        67315624 69315123 58275119 68325923 67335725 67305223 63255019 65305220 62345423 59305118
    """,
}


def flowers():
    """Measurements, standardised, of shape (150, 4), and the number of each species, of shape (150,)."""
    codes = [code for table in IRIS.values() for code in table.split()]
    mm = np.array([[int(code[k:k + 2]) for k in (0, 2, 4, 6)] for code in codes], dtype=float)
    return (mm - mm.mean(axis=0)) / mm.std(axis=0), np.repeat(np.arange(3), 50)


def initial(hidden, rng):
    """Small random weights, by name."""
    return {"layer 1": {"weights": rng.normal(size=(4, hidden)) / 2.0, "bias": np.zeros(hidden)},
            "layer 2": {"weights": rng.normal(size=(hidden, 3)) / np.sqrt(hidden), "bias": np.zeros(3)}}


def scores(p, x):
    """The network: one score a species."""
    hidden = np.tanh(x @ p["layer 1"]["weights"] + p["layer 1"]["bias"])
    return hidden @ p["layer 2"]["weights"] + p["layer 2"]["bias"]


def loss(p, x, species):
    """Mean negative log probability of the right species (softmax, cross-entropy)."""
    z = scores(p, x)
    z = z - np.max(z, axis=1, keepdims=True)
    right = z[np.arange(len(species)), species]
    return np.mean(np.log(np.sum(np.exp(z), axis=1)) - right)


def accuracy(p, x, species):
    return np.mean(np.argmax(scores(p, x), axis=1) == species)


def leaves(p):
    """(name, array) of each parameter."""
    return [(f"{layer}, {name}", values) for layer, entries in p.items() for name, values in entries.items()]


def zeros(p):
    """Zeros in the structure of p."""
    return {layer: {name: np.zeros_like(values) for name, values in entries.items()} for layer, entries in p.items()}


def descended(p, velocity):
    """p + velocity, leaf by leaf."""
    return {layer: {name: values + velocity[layer][name] for name, values in entries.items()}
            for layer, entries in p.items()}


def main():
    folder = pictures(__doc__)
    x, species = flowers()
    test = np.arange(150) % 5 == 4
    train = ~test
    p = initial(8, np.random.default_rng(1))
    value_and_gradient = ad.value_and_grad(loss)

    section("The gradient has the structure of the parameters")
    value, gradient = value_and_gradient(p, x[train], species[train])
    print(f"loss {value:.4f} before training\n")
    print(f"{'parameter':<18} {'shape':>8} {'largest derivative':>20}")
    for name, g in leaves(gradient):
        print(f"{name:<18} {str(g.shape):>8} {np.max(np.abs(g)):>20.5f}")
    print("\nIs it right?", "yes" if ad.check_derivatives(loss, p, x[train], species[train]) else "NO")

    section("Training: 200 steps of gradient descent with momentum")
    progress = optimize.Progress(display="none")
    velocity = zeros(p)
    for step in range(201):
        value, gradient = value_and_gradient(p, x[train], species[train])
        progress.update(value, max(np.max(np.abs(g)) for _, g in leaves(gradient)))
        if step % 40 == 0:
            print(f"step {step:3d}   loss {value:.4f}   accuracy {accuracy(p, x[train], species[train]):6.1%}   "
                  f"of flowers never seen {accuracy(p, x[test], species[test]):6.1%}")
        velocity = {layer: {name: 0.9 * v - 0.1 * gradient[layer][name] for name, v in entries.items()}
                    for layer, entries in velocity.items()}
        p = descended(p, velocity)

    section("What it took")
    stats = value_and_gradient.stats()
    size = sum(g.size for _, g in leaves(gradient))
    print(f"{stats.recordings} recording and {stats.replays} replays, for {size} derivatives each")
    found = np.argmax(scores(p, x[test]), axis=1)
    print(f"right: {np.sum(found == species[test])} of {np.sum(test)} flowers never seen")

    if folder is not None:
        save(ad.plot.convergence(progress, ylabel="loss", xlabel="step"), folder, "training.png")


if __name__ == "__main__":
    main()
