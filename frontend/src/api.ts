// The client of the API.

export interface Description {
  id: number
  text: string
  /** RFC 3339. */
  created_at: string
}

/** An error response of the backend, with a message for users. */
export class Refusal extends Error {
  override name = 'Refusal'
}

/** Returns `true` if the backend is healthy. */
export async function isHealthy(): Promise<boolean> {
  try {
    const response = await fetch('/api/health', { cache: 'no-store' })
    return response.ok
  } catch {
    return false
  }
}

/** Returns the latest descriptions, newest first. */
export async function newest(limit: number): Promise<Description[]> {
  return (await ask(`/api/description?limit=${String(limit)}`)) as Description[]
}

/** Stores a description. */
export async function write(text: string): Promise<Description> {
  return (await ask('/api/description', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ text }),
  })) as Description
}

async function ask(path: string, options?: RequestInit): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(path, options)
  } catch (cause) {
    throw new Refusal('The backend does not answer.', { cause })
  }
  if (!response.ok) {
    throw new Refusal(await reason(response))
  }
  return response.json()
}

/** Returns the message of the problem document (RFC 9457), or the status if the body is something else. */
async function reason(response: Response): Promise<string> {
  const status = `The backend answered ${String(response.status)}.`
  if (response.headers.get('Content-Type') !== 'application/problem+json') {
    return status
  }
  const problem = (await response.json()) as { title?: string; detail?: string }
  return problem.detail ?? problem.title ?? status
}
