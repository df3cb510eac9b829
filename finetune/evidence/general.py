"""General text, written for this purpose, on which forgetting is measured: what has nothing to do with the user's task."""

from __future__ import annotations

PASSAGES: tuple[str, ...] = (
    "A kettle boils faster with a lid on because less heat leaves with the steam. The water still reaches the same "
    "temperature, one hundred degrees at sea level, and stays there until it has all turned to vapour.",
    "The old railway station stood at the edge of the village, where the road bent towards the river. Every morning a "
    "single train stopped, let down two or three passengers, and went on to the coast.",
    "To make a simple soup, cut two onions and a few carrots into small pieces, cook them slowly in a little oil, add "
    "a litre of water and a handful of lentils, and let everything simmer for half an hour. Salt it at the end.",
    "Light takes about eight minutes to travel from the Sun to the Earth. When we look at a distant star, we see it as "
    "it was many years ago, because its light has been on the way all that time.",
    "def count_words(text):\n    words = text.lower().split()\n    counts = {}\n    for word in words:\n"
    "        counts[word] = counts.get(word, 0) + 1\n    return counts\n",
    "If a train leaves at nine and travels for two hours and forty minutes, it arrives at twenty to twelve. If it is "
    "a quarter of an hour late, it arrives at five to twelve.",
)
