"""Orders: those of an order-select or order-sign call, and those that cards suggest."""
