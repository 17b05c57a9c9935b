"""How good are frozen features: k-NN, linear probes and the scores made of them."""
