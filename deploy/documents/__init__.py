"""Documents: what others are told of Samband, made from the contracts and from what each service registers."""
