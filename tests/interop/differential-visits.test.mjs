// The same visits, below Feathers, to a real Feathers server and to the fixture: both do alike, or a rule says why not.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { randomOf } from './differential-requests.mjs'
import { knownVisits, visitRules } from './differential-visit-rules.mjs'
import { visitBoth } from './differential-visitor.mjs'
import { visits } from './differential-visits.mjs'
import { startFeathers, startFixture, stopStarted, tableOfDifferences } from './support.mjs'

const VISITS = Number(process.env.WINGBEAT_DIFFERENTIAL_VISITS ?? 400)
const SEED = Number(process.env.WINGBEAT_DIFFERENTIAL_SEED ?? 1)
/** Most visits wait for one of the servers. */
const AT_ONCE = 4

describe('the Socket.IO server of Node and wingbeat', () => {
  let urls
  before(async () => { urls = (await Promise.all([startFeathers(), startFixture()])).map(({ url }) => url) })
  after(stopStarted)

  it(`do alike, ${VISITS} visits of seed ${SEED}, but for what the rules name`, { timeout: 240_000 }, async () => {
    const all = [...visitRules.flatMap(({ examples }) => examples), ...knownVisits, ...visits(randomOf(SEED), VISITS)].entries()
    const applied = new Set()
    const differences = []
    const visitOneByOne = async () => {
      for (const [at, steps] of all) {
        const [node, wingbeat] = await visitBoth(urls, steps)
        if (JSON.stringify(node) === JSON.stringify(wingbeat)) continue
        const rule = visitRules.find(({ explains }) => explains(steps, node, wingbeat))
        if (rule) applied.add(rule.name)
        else differences.push({ at, steps, node, wingbeat })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, visitOneByOne))
    assert.equal(differences.length, 0, `WINGBEAT_DIFFERENTIAL_SEED=${SEED}, ${differences.length} differences, the first: ${JSON.stringify(differences[0], null, 1)}`)
    assert.deepEqual(visitRules.map(({ name }) => name).filter((name) => !applied.has(name)), [], 'rules that never applied')
  })

  it('differ in what the table of compatibility says', async () => {
    assert.deepEqual(await tableOfDifferences('Below Feathers'), visitRules.map(({ name }) => name).sort())
  })
})
