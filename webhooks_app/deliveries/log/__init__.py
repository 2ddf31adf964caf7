"""Reading the delivery log: by filter, page by page, and one delivery with its attempts. Only reads."""
