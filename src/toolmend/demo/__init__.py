"""Everything that shows toolmend at work without a download: a tiny model, real servers, replies.

The core never imports this package.
"""
