"""What a page of the web interface shows at once, put together from many modules."""
