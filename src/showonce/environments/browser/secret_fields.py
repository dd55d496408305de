"""Which fields of a page may hold a secret: a JavaScript function for the recorder's hook, decided inside of the page.

A field counts by its type, its `autocomplete`, masking by CSS or a masking font, its names (name, id, labels,
placeholder, the text before a nameless field), or as one of several boxes of one character each. Names are compared
in lower case without accents, as whole words; only long words that no other word contains match inside of a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

# Found anywhere in a name, also within a longer word. Accents of Latin, Greek and Cyrillic letters are removed.
_PARTS: Final = (
    "password", "passwd", "passwort", "passphrase", "passcode", "kennwort", "losungswort", "kontrasena", "contrasena",
    "contrasenya", "wachtwoord", "losenord", "adgangskode", "salasana", "motdepasse", "apikey", "secretkey",
    "privatekey", "cardnumber", "kartennummer", "kreditkartennummer", "sicherheitscode", "bestatigungscode",
    "kartenprufnummer", "prufziffer", "geheimzahl", "пароль", "пароля", "парола", "код подтверждения", "кодовое слово",
    "συνθηματικο", "κωδικος προσβασης", "סיסמה", "סיסמא", "كلمة المرور", "كلمة السر", "رمز التحقق", "पासवर्ड",
    "รหัสผ่าน", "密码", "密碼", "口令", "验证码", "驗證碼", "卡号", "卡號", "パスワード", "暗証番号", "認証コード",
    "確認コード", "カード番号", "비밀번호", "암호", "인증번호", "카드 번호", "카드번호",
)  # fmt: skip

# Found as whole words; each is a regular expression.
_WORDS: Final = (
    "(?<!(?:boarding|bus|day|gift|guest|rail|season|ski|transit|travel) )pass(?! type)", "pwd", "pw", "psw", "pswd",
    "passw", "pin", "pincode", "otp", "totp", "mfa", "2fa", "tfa", "2 fa", "puk",
    "(?:m|sms|push|chip|photo)? ?tan(?= $)",
    "secret", "secreto", "token", "cvv", "cvc", "csc", "cvn", "iban", "ssn", "social security(?: number)?", "pass code",
    "pass phrase", "pass word", "seed phrase", "recovery phrase", "mnemonic", "(?:security|secret) answer",
    "(?:api|access|auth|encryption|private|recovery|secret|security|signing) ?key", "bearer", "credentials?",
    "(?:2fa|access|auth|authentication|authenticator|authorization|backup|confirmation|digit|email|login|mfa|one time"
    "|otp|pin|recovery|secret|security|sms|unlock|verification|verify) ?codes?", "code (?:we|from your|sent)",
    "(?:card|cc|credit card|debit card) (?:number|no|num|nr|exp|expiry|expiration)(?: date)?", "cc", "ccnum",
    "mot de passe", "phrase de passe", "mdp", "code (?:secret|de (?:securite|verification|confirmation))",
    "numero de (?:la )?carte(?: bancaire)?", "cle (?:secrete|api|privee)", "clave", "codigo de (?:verificacion"
    "|seguridad|seguranca|acceso)", "numero de (?:la )?tarjeta", "numero do cartao", "senha", "palavra passe",
    "parola(?! chiave)", "codice (?:di )?(?:sicurezza|verifica|segreto)", "numero (?:della )?carta", "geheim\\w*",
    "kreditkarte", "hasło", "haslo", "kod (?:weryfikacyjny|pin)", "numer karty", "heslo", "jelszo", "sifre", "sifreniz",
    "lozinka", "geslo", "passord", "kodeord", "mat khau", "kata sandi", "sandi", "пин", "пин код", "код из смс",
    "номер карты", "κωδικος", "pin코드",
)  # fmt: skip

_SECRET_FIELD: Final = """((parts, words, names, marked) => {
  const whole = new RegExp('(?<![\\\\p{L}\\\\p{N}])(?:' + words.join('|') + ')(?![\\\\p{L}\\\\p{N}])', 'u');
  const plain = text => ' ' + text.slice(0, 80).replace(/([\\p{Ll}\\d])(\\p{Lu})/gu, '$1 $2')
    .replace(/(\\p{Lu})(\\p{Lu}\\p{Ll})/gu, '$1 $2').replace(/(\\p{L})(\\d)/gu, '$1 $2').normalize('NFD')
    .replace(/[\\u0300-\\u036f]/g, '').normalize('NFC').toLowerCase().replace(/[\\u0300-\\u036f]/g, '')
    .replace(/[^\\p{L}\\p{M}\\p{N}]+/gu, ' ').trim() + ' ';
  const known = new Map();
  const says = text => {
    if (!known.has(text)) {
      const t = plain(text);
      if (known.size > 2000) known.clear();
      known.set(text, parts.some(p => t.includes(p)) || whole.test(t));
    }
    return known.get(text);
  };
  const fields = 'input:not([type=hidden]),textarea,select,[contenteditable],[role=textbox]';
  const silent = ['button', 'submit', 'reset', 'image', 'checkbox', 'radio', 'range', 'color', 'file', 'hidden'];
  const unnamed = ['email', 'url', 'date', 'datetime-local', 'month', 'week', 'time'];
  const own = e => names.map(n => e.getAttribute(n)).filter(Boolean);
  const texts = e => {
    const found = [...(e.labels || [])].map(l => l.textContent);
    for (const id of (e.getAttribute('aria-labelledby') || '').split(/\\s+/)) {
      const named = id && e.getRootNode().getElementById && e.getRootNode().getElementById(id);
      if (named) found.push(named.textContent);
    }
    return found;
  };
  // The text before a field that has no label: within its parent, else in the table cell before.
  const before = e => {
    let n = e.previousSibling;
    while (n && (n.nodeType === 8 || !n.textContent.trim())) {
      if (n.nodeType === 1 && n.matches(fields)) return '';
      n = n.previousSibling;
    }
    if (!n && e.parentElement) n = e.parentElement.previousElementSibling;
    if (!n || n.nodeType === 1 && (n.matches(fields + ',script,style') || n.querySelector(fields))) return '';
    return n.textContent.trim().slice(-40);
  };
  const named = e => {
    const all = [...own(e), ...texts(e)];
    if (!texts(e).length && !['aria-label', 'placeholder', 'title'].some(n => e.getAttribute(n))) all.push(before(e));
    const root = e.getRootNode();  // a component with one field: the names of its host are those of the field
    if (root.host && root.querySelectorAll(fields).length === 1) all.push(...own(root.host), ...texts(root.host));
    return all.some(says);
  };
  const may = e => {
    if (marked.some(s => e.closest(s))) return true;
    const tag = e.tagName, type = (e.type || '').toLowerCase();
    const auto = (e.getAttribute('autocomplete') || '').toLowerCase();
    if (/(^|\\s)((current|new)-password|one-time-code|cc-(number|csc|exp\\S*))(\\s|$)/.test(auto)) return true;
    if (tag === 'SELECT' || tag === 'BUTTON' || tag === 'A' || tag === 'INPUT' && silent.includes(type)) return false;
    if (tag === 'INPUT' && type === 'password') return true;
    const role = e.getAttribute('role') || '';
    if (!(tag === 'INPUT' || tag === 'TEXTAREA' || e.isContentEditable || role === 'textbox'
      || !role && e.hasAttribute('tabindex'))) return false;
    const style = getComputedStyle(e), cover = style.webkitTextSecurity;
    if (cover && cover !== 'none' || /text-?security|password|dotsfont/i.test(style.fontFamily)) return true;
    const boxes = e.maxLength === 1 && (e.form || e.getRootNode()).querySelectorAll('input[maxlength="1"]');
    if (boxes && boxes.length > 3) return true;
    return !unnamed.includes(type) && named(e);
  };
  may.marked = marked;
  return may;
})"""

_ATTRIBUTES: Final = (
    "name", "id", "aria-label", "placeholder", "aria-placeholder", "data-placeholder", "title", "label",
    "formcontrolname", "data-testid",
)  # fmt: skip


def secret_field(marked: Sequence[str] = ()) -> str:
    """Return a JavaScript expression: a function that takes an element and returns whether it may hold a secret.

    marked: CSS selectors of elements that count as such with all that is in them; the function's `marked`, too.
    """
    given = (_PARTS, _WORDS, _ATTRIBUTES, marked)
    return f"{_SECRET_FIELD}({', '.join(json.dumps(list(value)) for value in given)})"
