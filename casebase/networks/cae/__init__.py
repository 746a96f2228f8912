"""Class association embedding: class code, individual code, and what a swap of the first makes of an image.

R. Xie et al., "Accurate Explanation Model for Image Classifiers using Class Association Embedding", ICDE 2024,
https://arxiv.org/abs/2406.07961.
"""
