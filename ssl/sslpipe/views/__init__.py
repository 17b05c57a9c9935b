"""Random views of images: drawn by key (`policy`), rendered by one of three backends."""
