"""Tests of the image, the manifests and the settings in `deploy/`, with the programs that read them."""
