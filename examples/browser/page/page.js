// What the page shows, and what its buttons do. How it stays logged in is
// session.js.
import { Refused, Session, Unavailable } from '/session.js'

const { client, issuer, session: at } = document.documentElement.dataset
const session = new Session({ client, issuer, at, who: '/api/me' })

const part = (id) => document.getElementById(id)
const outside = part('outside'), inside = part('inside')
const [noteForm] = document.forms

const say = (words, tone = '') => {
  part('said').textContent = words
  part('said').className = tone
}

// tell says in words what went wrong.
function tell(error) {
  if (error instanceof Refused && error.code === 'access_denied' && !error.status) {
    say('You did not agree, so you are not logged in.', 'bad')
  } else if (error instanceof Refused && error.code === 'invalid_grant') {
    say('This login has taken too long. Please log in again.', 'bad')
  } else if (error instanceof Refused) {
    say(error.message, 'bad')
  } else if (error instanceof Unavailable && error.retryAfter) {
    say(`Please try again in ${error.retryAfter} seconds.`, 'bad')
  } else if (error instanceof Unavailable) {
    say('There is no connection. Nothing is lost; please try again.', 'bad')
  } else {
    throw error
  }
}

let drawn = 0 // counts up, so that an answer that comes late draws nothing

// draw shows what is so now: after a login, a logout and the end of a session, in
// this tab or in another one.
async function draw() {
  const now = ++drawn
  part('again').hidden = true
  if (!session.active) {
    leave()
    return
  }
  try {
    const [me, note] = await Promise.all([load('/api/me'), load('/api/note')])
    if (now === drawn) enter(me, note)
  } catch (error) {
    if (now !== drawn) return // logged out meanwhile
    part('again').hidden = false
    tell(error)
  }
}

let arriving = false // what a login changes on its way is drawn once, at its end

// begin is what happens when the page is loaded, and where nobody answered then.
async function begin() {
  arriving = true
  const slow = setTimeout(() => say('One moment …'), 500)
  const fault = await session.arrive().catch((error) => error)
  clearTimeout(slow)
  arriving = false
  say('')
  await draw()
  if (fault) {
    part('again').hidden = !(fault instanceof Unavailable)
    tell(fault)
  } else if (!session.active && sessionStorage.getItem('left')) {
    say('You are logged out.') // back from Jeton's page
  }
  sessionStorage.removeItem('left')
}

async function load(path) {
  const response = await session.fetch(path)
  if (response.ok) return response.json()
  if (response.status >= 500) throw new Unavailable(Number(response.headers.get('Retry-After')) || undefined)
  throw new Refused(await response.json().catch(() => ({})), response.status)
}

function enter(me, note) {
  say('')
  part('who').textContent = me.sub
  part('scope').textContent = me.scope.join(' and ')
  part('note').value = note.note
  outside.hidden = true
  if (inside.hidden) {
    inside.hidden = false
    if (document.hasFocus()) part('your-note').focus()
  }
}

// leave shows the way in, and forgets what belongs to who was here.
function leave() {
  const before = !inside.hidden
  noteForm.reset()
  part('who').textContent = part('scope').textContent = ''
  inside.hidden = true
  outside.hidden = false
  if (!before) return
  say('You are logged out.')
  if (document.hasFocus()) part('enter').focus()
}

// on does something at an event, once at a time.
function on(target, name, act) {
  let busy = false
  target.addEventListener(name, async (event) => {
    event.preventDefault()
    if (busy) return
    busy = true
    try {
      await act()
    } catch (error) {
      tell(error)
    } finally {
      busy = false
    }
  })
}

on(part('enter'), 'click', () => session.login())

on(noteForm, 'submit', async () => {
  say('Saving …')
  const response = await session.fetch('/api/note', { method: 'PUT', body: part('note').value })
  if (response.ok) say('Saved.', 'good')
  else if (session.active) say('It was not saved. Please try again.', 'bad')
})

// Who leaves a computer that others use wants to be signed out there too.
on(part('leave'), 'click', async () => {
  await session.logout()
  sessionStorage.setItem('left', 'yes')
  session.signOut()
})
on(part('again'), 'click', begin)

session.addEventListener('change', () => { if (!arriving) draw() })
// Somebody may have ended the session elsewhere while nobody looked.
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && session.active) session.fetch('/api/me').catch(() => {})
})
begin()
