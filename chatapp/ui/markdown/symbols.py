"""Names of LaTeX's mathematics that have a character of their own, and the small letters.

The tables hold what reads the same in every font and terminal; a name that is not here is shown as
it was written.
"""

import unicodedata


def _pairs(table: str) -> dict[str, str]:
    words = table.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def names(table: str) -> frozenset[str]:
    """The words of `table`."""
    return frozenset(table.split())


LETTERS = _pairs("""
    alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι
    kappa κ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ
    upsilon υ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π
    Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω ell ℓ hbar ℏ Re ℜ Im ℑ aleph ℵ beth ℶ imath ı jmath ȷ
    infty ∞ partial ∂ nabla ∇ emptyset ∅ varnothing ∅ top ⊤ bot ⊥ angle ∠ triangle △ square □
    degree ° dagger † ddagger ‡ prime ′ ldots … dots … cdots ⋯ vdots ⋮ ddots ⋱ dotsc … dotsb ⋯
    forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮
    bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁ bigwedge ⋀ surd √ checkmark ✓
    heartsuit ♥ spadesuit ♠ clubsuit ♣ diamondsuit ♦ wp ℘ complement ∁ blacksquare ■ Box □
""")
"""Letters and signs that stand alone."""

RELATIONS = _pairs("""
    leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ equiv ≡ sim ∼ simeq ≃ cong ≅ propto ∝ ll ≪ gg ≫
    lt < gt > leqslant ⩽ geqslant ⩾ lesssim ≲ gtrsim ≳ prec ≺ succ ≻ preceq ⪯ succeq ⪰ doteq ≐
    in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋ perp ⊥
    parallel ∥ mid ∣ nmid ∤ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨ to → rightarrow → leftarrow ← gets ←
    leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ implies ⟹ impliedby ⟸ iff ⟺
    longrightarrow ⟶ longleftarrow ⟵ Longrightarrow ⟹ Longleftarrow ⟸ Longleftrightarrow ⟺
    longleftrightarrow ⟷ mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑
    Downarrow ⇓ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪ hookleftarrow ↩
    rightharpoonup ⇀ rightleftharpoons ⇌ rightsquigarrow ⇝ leadsto ⇝ therefore ∴ because ∵
    coloneqq ≔ triangleq ≜ asymp ≍ bowtie ⋈ vert | lvert | rvert | Vert ‖ lVert ‖ rVert ‖
""")
"""What stands between two sides."""

OPERATORS = _pairs("""
    times × div ÷ pm ± mp ∓ cdot · ast ∗ star ⋆ circ ∘ bullet • oplus ⊕ ominus ⊖ otimes ⊗ odot ⊙
    oslash ⊘ cup ∪ cap ∩ sqcup ⊔ sqcap ⊓ setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨
    uplus ⊎ dotplus ∔ rtimes ⋊ ltimes ⋉
""")
"""What joins two terms."""

BRACKETS = _pairs(r"""
    { { } } langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lbrace { rbrace } lbrack [ rbrack ]
    lparen ( rparen ) backslash \ | ‖
""")

FUNCTIONS = names(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh coth log ln lg exp lim liminf "
    "limsup max min sup inf arg argmax argmin det dim ker deg gcd lcm hom Pr mod tr rank"
)
"""Names that are written as they are."""

ACCENTS = {
    name: unicodedata.lookup(f"COMBINING {word}")
    for name, word in {
        "hat": "CIRCUMFLEX ACCENT",
        "widehat": "CIRCUMFLEX ACCENT",
        "bar": "MACRON",
        "overline": "MACRON",
        "tilde": "TILDE",
        "widetilde": "TILDE",
        "vec": "RIGHT ARROW ABOVE",
        "dot": "DOT ABOVE",
        "ddot": "DIAERESIS",
        "check": "CARON",
        "breve": "BREVE",
        "mathring": "RING ABOVE",
    }.items()
}
"""Marks over one letter."""

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ′°*†‡"
_LOWERED = "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
RAISED = dict(zip("0123456789+-=()abcdefghijklmnoprstuvwxyzT′∘*†‡", _RAISED, strict=True))
LOWERED = dict(zip("0123456789+-=()aehijklmnoprstuvx", _LOWERED, strict=True))
"""Characters that exist as superscripts and subscripts."""

SMALL = frozenset(_RAISED + _LOWERED)


def styled_letter(style: str, letter: str) -> str:
    r"""A letter in one of the alphabets of `\mathbb`, `\mathcal`; KeyError if it has none."""
    case = "CAPITAL" if letter.isupper() else "SMALL"
    if not letter.isalpha() or not letter.isascii():
        raise KeyError(letter)
    name = {"mathbb": "DOUBLE-STRUCK", "mathcal": "SCRIPT", "mathscr": "SCRIPT"}[style]
    try:
        return unicodedata.lookup(f"{name} {case} {letter}")
    except KeyError:
        return unicodedata.lookup(f"MATHEMATICAL {name} {case} {letter}")
