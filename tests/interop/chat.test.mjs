// The chat example in a real browser: both pages of its two nodes.
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'

import { chromium as playwright } from 'playwright-core'

import { chromium, FLAGS, startChat, stopStarted, until } from './support.mjs'

// What the page promises, and what a busy machine is allowed before the test fails.
const PROMISED_MS = 300
const BOUND_MS = 2000

describe('the chat example in a browser', () => {
  let browser, pages
  const problems = []

  before(async () => {
    const { urls } = await startChat()
    browser = await playwright.launch({ executablePath: chromium(), args: FLAGS })
    pages = await Promise.all(urls.map((url) => openPage(browser, url, problems)))
  })
  after(async () => {
    await browser?.close()
    await stopStarted()
  })

  it('both pages show their node, the sync status and the connections', async () => {
    const shown = (page, selector) => page.locator(selector).innerText()
    for (const page of pages) {
      await until('the sync is ready', async () => /ready/i.test(await shown(page, '#status')))
      await until('a connection is counted', async () => Number((await shown(page, '#connections')).match(/\d+/)?.[0]) >= 1)
    }
    const [nodeA, nodeB] = await Promise.all(pages.map((page) => shown(page, '#node')))
    assert.ok(nodeA.trim() && nodeB.trim(), 'the nodes have names')
    assert.notEqual(nodeA, nodeB)
  })

  for (const [from, to, way] of [[0, 1, 'from A to B'], [1, 0, 'from B to A']]) {
    it(`a message goes ${way}`, async (t) => {
      const text = `hello ${way} at ${Date.now()}`
      const seen = whenShown(pages[to], text)

      const sent = await send(pages[from], text)
      const took = await seen - sent

      t.diagnostic(`${way}: ${took.toFixed(1)} ms from submit to the other page (promised: ${PROMISED_MS} ms)`)
      assert.ok(took < BOUND_MS, `${took} ms`)
      // The sender's page may be the later one: its node waits for the broker's echo.
      await until('the sender sees it too', () => shownTimes(pages[from], text))
      for (const page of pages) assert.equal(await shownTimes(page, text), 1)
    })
  }

  it('markup in a message is shown as text', async () => {
    const text = `<img src="x" onerror="document.title='taken'"> & <b>bold</b>`
    const seen = whenShown(pages[1], text)

    await send(pages[0], text)
    await seen

    await until('the sender sees it too', () => shownTimes(pages[0], text))
    for (const page of pages) {
      assert.equal(await page.locator('#messages img, #messages b').count(), 0)
      assert.notEqual(await page.title(), 'taken')
    }
  })

  it('the pages fit a phone and a desktop', async (t) => {
    for (const [width, height] of [[390, 844], [1280, 800]]) {
      await pages[0].setViewportSize({ width, height })
      const path = join(tmpdir(), `wingbeat-chat-${width}x${height}.png`)
      await pages[0].screenshot({ path })
      t.diagnostic(`screenshot: ${path}`)
      const contentWidth = await pages[0].evaluate(() => document.documentElement.scrollWidth)
      assert.ok(contentWidth <= width, `content is ${contentWidth} wide on a screen of ${width}`)
      assert.ok(await pages[0].locator('form#compose input[name=text]').isVisible(), 'the form is on the screen')
    }
  })

  it('the browser reported no problem', () => assert.deepEqual(problems, []))
})

async function openPage (browser, url, problems) {
  const page = await browser.newPage()
  page.setDefaultTimeout(10_000)
  page.on('pageerror', (error) => problems.push(`${url}: ${error.message}`))
  page.on('requestfailed', (request) => problems.push(`${request.url()}: ${request.failure()?.errorText}`))
  await page.goto(url)
  return page
}

/** Resolves with the page's time at which a message with this text was put into its list. */
function whenShown (page, text) {
  return page.evaluate(([text, bound]) => new Promise((resolve, reject) => {
    const list = document.querySelector('#messages')
    const now = () => performance.timeOrigin + performance.now()
    const look = () => [...list.querySelectorAll('li')].some((item) => item.textContent.includes(text)) && resolve(now())
    new MutationObserver(look).observe(list, { childList: true, subtree: true, characterData: true })
    setTimeout(() => reject(new Error(`not shown: ${text}`)), 5 * bound)
    look()
  }), [text, BOUND_MS])
}

/** Fills in the form as a user does; resolves with the page's time of the submit. */
async function send (page, text) {
  const submitted = page.evaluate(() => new Promise((resolve) => {
    const form = document.querySelector('form#compose')
    form.addEventListener('submit', () => resolve(performance.timeOrigin + performance.now()), { once: true, capture: true })
  }))
  const input = page.locator('form#compose input[name=text]')
  await input.fill(text)
  await input.press('Enter')
  return submitted
}

const shownTimes = (page, text) => page.locator('#messages li', { hasText: text }).count()
