// Attune fills the slots of a page and tells which were seen: docs/integrate.md. Nothing here breaks the page.
(() => {
  const LIMIT = 300 // ms for an answer; then the default stays
  const SEEN = 1000 // ms of half a slot in view
  const script = document.currentScript, {key, customer, token, anonymous, consent = ''} = script.dataset
  const host = script.src.replace(/\/attune\.js.*/, '')
  let who = {}, agreed = []

  const post = (path, body, more, headers = {}) => {
    if (who.userId) headers['attune-customer'] = token
    return fetch(`${host}/${path}`, {...more, method: 'POST', body: JSON.stringify(body), headers})
  }
  const send = (path, body) =>
    post(path, {writeKey: key, ...who, ...body}, {keepalive: true}).then((answer) => answer.ok, () => false)

  const kept = (...lines) => { // an id of chance, who was told of, and what they agreed to
    try {
      if (lines[0]) localStorage.attune = lines.join('\n')
      else if (lines.length) delete localStorage.attune
      return (localStorage.attune || '').split('\n')
    } catch {}
  }
  // nobody is anybody who agreed to nothing, asks not to be tracked, or whose browser keeps no id
  const introduce = async () => {
    const before = kept(), [known, last, ...words] = before || []
    const quiet = navigator.doNotTrack === '1' || navigator.globalPrivacyControl
    if (!quiet && (before || token || anonymous)) agreed = consent.match(/\w+/g) || []
    const id = anonymous || known || crypto.getRandomValues(new Uint32Array(4)).join('-')
    const name = token ? customer : id, said = last === name ? words : []
    who = token ? {userId: name} : {anonymousId: id}
    const news = Object.fromEntries([...said, ...agreed].map((one) => [one, agreed.includes(one)]))
    if (`${said}` === `${agreed}` || await send('identify', {context: {consent: {categoryPreferences: news}}}))
      kept(...agreed.length ? [id, name, ...agreed] : [''])
    if (!agreed.length) who = {}
  }

  const safe = (url) => {
    try { return /^(https?|mailto|tel):/.test(new URL(url, location)) } catch {}
  }
  const parsed = (text) => { // without what could run
    const {body} = new DOMParser().parseFromString(text, 'text/html')
    for (const one of body.querySelectorAll('*')) {
      /^(a|b|br|div|em|h[1-6]|i|img|li|ol|p|small|span|strong|sub|sup|u|ul)$/.test(one.localName) || one.remove()
      for (const {name, value} of [...one.attributes])
        /^(alt|class|title)$/.test(name) || (/^(href|src)$/.test(name) && safe(value)) || one.removeAttribute(name)
    }
    return body
  }
  const put = (place, text, html) => {
    const body = parsed(html ? text : '')
    if (!html) body.append(text)
    if (place.localName !== 'img') place.replaceChildren(...body.childNodes)
    else if (safe(body.textContent)) place.src = body.textContent
  }
  const fill = (slot, {kind, elements}) => {
    const marked = [...slot.querySelectorAll('[data-attune-element]')], all = Object.values(elements)
    const pairs = marked.map((one) => [one, elements[one.dataset.attuneElement]]).filter(([, one]) => one)
    if (!marked.length && all.length === 1) pairs.push([slot, all[0]])
    for (const [place, {text}] of pairs) put(place, text, /^(landing|web|email)$/.test(kind))
    return pairs.length
  }

  const watch = (slot, properties) => {
    const event = 'Experience Viewed', messageId = `seen-${properties.decision_id}`
    const seen = () => send('track', {event, messageId, properties})
    const share = Math.min(0.5, innerHeight / 2 / slot.offsetHeight) // of a high slot half a window
    let timer
    const eye = new IntersectionObserver((all) => {
      const seeing = () => document.hidden || seen(eye.disconnect())
      clearTimeout(timer)
      if (all.pop().intersectionRatio >= share) timer = setTimeout(seeing, SEEN)
    }, {threshold: share})
    eye.observe(slot)
    slot.addEventListener('click', ({target}) => {
      if (target.closest('a, button')) send('track', {event: 'Experience Clicked', properties}, seen())
    })
  }
  const show = async (slot, ready, until) => {
    await ready
    const {attuneSlot, attuneItem: item, attuneCart = '[]'} = slot.dataset
    const body = {slot: attuneSlot, item, cart: JSON.parse(attuneCart), anonymous: who.anonymousId}
    const answer = await post('decide', body, {signal: AbortSignal.timeout(LIMIT)}, {authorization: `Bearer ${key}`})
    const found = answer.ok && await answer.json()
    if (Date.now() > until || !found || !fill(slot, found)) return
    if (agreed.includes('analytics')) watch(slot, {decision_id: found.decision_id, slot: attuneSlot})
    slot.dispatchEvent(new CustomEvent('attune', {bubbles: true, detail: found}))
  }
  const start = () => {
    const until = Date.now() + LIMIT, ready = introduce()
    for (const slot of document.querySelectorAll('[data-attune-slot]')) show(slot, ready, until).catch(() => {})
  }
  document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', start) : start()
})()
