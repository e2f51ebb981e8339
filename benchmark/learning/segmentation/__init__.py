"""Segmentation from masks of the training slides, whatever they were made of: mask source → net → score map.

Read `segmenter.py` first (the contract and the order of the steps), then `mask_training.py` and `sliding_window.py`.
"""
