"""From sources of encoded images to packed pixels, their index and the pretraining corpora."""
