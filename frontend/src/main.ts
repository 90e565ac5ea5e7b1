// The page: shows the backend's health, stores descriptions, and lists the latest ones.

import { type Description, isHealthy, newest, Refusal, write } from './api'

const SHOWN = 10

const health = element('health', HTMLParagraphElement)
const form = element('write', HTMLFormElement)
const text = element('text', HTMLTextAreaElement)
const refusal = element('refusal', HTMLParagraphElement)
const none = element('none', HTMLParagraphElement)
const list = element('descriptions', HTMLOListElement)

form.addEventListener('submit', (event) => {
  event.preventDefault()
  void save()
})
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) {
    void refresh()
  }
})
void refresh()

async function refresh(): Promise<void> {
  await Promise.all([showHealth(), showNewest()])
}

async function showHealth(): Promise<void> {
  const isUp = await isHealthy()
  health.textContent = isUp ? 'The backend is up.' : 'The backend does not answer.'
  health.dataset['up'] = String(isUp)
}

async function showNewest(): Promise<void> {
  await orSayWhyNot(async () => {
    const descriptions = await newest(SHOWN)
    list.replaceChildren(...descriptions.map(item))
    none.hidden = descriptions.length > 0
  })
}

async function save(): Promise<void> {
  await orSayWhyNot(async () => {
    const description = await write(text.value)
    form.reset()
    list.prepend(item(description))
    while (list.children.length > SHOWN) {
      list.lastElementChild?.remove()
    }
    none.hidden = true
  })
  text.focus()
}

async function orSayWhyNot(work: () => Promise<void>): Promise<void> {
  try {
    await work()
    refusal.textContent = ''
  } catch (error) {
    if (!(error instanceof Refusal)) {
      throw error
    }
    refusal.textContent = error.message
  }
}

function item(description: Description): HTMLLIElement {
  const words = document.createElement('p')
  words.textContent = description.text
  const time = document.createElement('time')
  time.dateTime = description.created_at
  time.textContent = new Date(description.created_at).toLocaleString()
  const entry = document.createElement('li')
  entry.append(words, time)
  return entry
}

/** Returns the element of index.html with this id. */
function element<T extends HTMLElement>(id: string, type: new () => T): T {
  const found = document.getElementById(id)
  if (!(found instanceof type)) {
    throw new Error(`index.html has no ${type.name} called ${id}`)
  }
  return found
}
