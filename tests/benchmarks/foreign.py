"""Sentences in German, French, Spanish and Polish, for rows whose language is not that of the rest."""

from __future__ import annotations

import random

TONGUES = {
    "de": (
        "Guten Tag, {a} ist leider immer noch nicht angekommen, und {b} fehlt auch."
        "|Können Sie mir bitte sagen, ob {a} noch lieferbar ist?"
        "|Ich möchte {a} zurückgeben, weil {b} viel besser zu uns passt."
        "|Warum wurde mir {a} doppelt berechnet, obwohl ich nur {b} bestellt habe?"
        "|Seit gestern macht {a} seltsame Geräusche, und niemand kann mir helfen."
        "|Wann haben Sie in der Filiale neben {b} geöffnet?",
        "der Wasserkocher|die Stehlampe|das Bücherregal|der Rasenmäher|die Nähmaschine|das Kinderbett"
        "|der Schreibtisch|die Bratpfanne"
        "|das Fahrrad|der Teppich|die Gießkanne|das Zelt|der Staubsauger|die Kaffeemühle|das Gewächshaus",
    ),
    "fr": (
        "Bonjour, {a} n'est toujours pas arrivé et {b} manque aussi."
        "|Pourriez-vous me dire si {a} est encore disponible ?"
        "|Je voudrais rendre {a} parce que {b} convient mieux à notre salon."
        "|Pourquoi ai-je payé deux fois pour {a} alors que je voulais seulement {b} ?"
        "|Depuis hier {a} fait un bruit étrange et personne ne répond."
        "|À quelle heure ouvre le magasin où l'on trouve {b} ?",
        "la bouilloire|le lampadaire|la bibliothèque|la tondeuse|la machine à coudre|le lit d'enfant|le bureau"
        "|la poêle|le vélo|le tapis"
        "|l'arrosoir|la tente|l'aspirateur|le moulin à café|la serre",
    ),
    "es": (
        "Buenos días, {a} todavía no ha llegado y también falta {b}.|¿Me pueden decir si {a} sigue disponible?"
        "|Quiero devolver {a} porque {b} nos queda mucho mejor."
        "|¿Por qué me cobraron dos veces {a} si solamente pedí {b}?"
        "|Desde ayer {a} hace un ruido muy raro y nadie me contesta.|¿A qué hora abre la tienda donde venden {b}?",
        "la tetera|la lámpara de pie|la estantería|el cortacésped|la máquina de coser|la cuna|el escritorio"
        "|la sartén|la bicicleta"
        "|la alfombra|la regadera|la tienda de campaña|la aspiradora|el molinillo|el invernadero",
    ),
    "pl": (
        "Dzień dobry, {a} nadal nie dotarł do mnie i brakuje też {b}."
        "|Czy możecie mi powiedzieć, kiedy {a} będzie znowu dostępny?"
        "|Chciałbym zwrócić {a}, ponieważ {b} pasuje do nas o wiele lepiej."
        "|Dlaczego zapłaciłem dwa razy za {a}, skoro zamówiłem tylko {b}?"
        "|Od wczoraj {a} wydaje dziwne dźwięki i nikt nie odpowiada."
        "|O której godzinie otwieracie sklep, w którym jest {b}?",
        "czajnik|lampa|regał|kosiarka|maszyna do szycia|łóżeczko|biurko|patelnia|rower|dywan|konewka|namiot"
        "|odkurzacz|młynek|szklarnia",
    ),
}


def foreign_text(tongue: str, draw: random.Random) -> str:
    """Two or three sentences in one of TONGUES."""
    sentences, things = (text.split("|") for text in TONGUES[tongue])
    chosen = draw.sample(sentences, draw.randint(2, 3))
    return " ".join(sentence.format(a=draw.choice(things), b=draw.choice(things)) for sentence in chosen)
