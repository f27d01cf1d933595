"""`pluralign demo`: the embedded model beside its base and beside the limit, from questions to one page.

run         opens both models, asks part by part in a run folder, writes results and page
  laws      coins and categorical laws: the next output after k outputs
  people    held-out people's ratings: after k ratings, from attributes, from a written profile
  written   profiles that a model writes from ratings, read and used
  person    one of these people from near by
  situation values, rights and duties of situations, and of one minimal pair from near by
asking      a set of questions with their limits, as a model answers it
measure     losses, distances to the limit, shares: from answers to estimates
findings    what was found: the content of results.json, and all that the page and the terminal show
"""
