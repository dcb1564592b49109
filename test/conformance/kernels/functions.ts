import { ACTIVATION } from '@tabserve/kernels'
import { Random, expectEqual, expectNear } from './random.ts'
import type { Workspace } from './workspace.ts'

export const functionChecks = {
  'RMS norm equals its formula, in place too'(workspace: Workspace): void {
    for (const size of [2, 16, 64, 576, 578]) {
      const x = new Random(size).floats(size)
      const weight = new Random(size + 1).floats(size)
      const mean = x.reduce((sum, value) => sum + value * value, 0) / size
      const wanted = x.map((value, i) => (value * weight[i]!) / Math.sqrt(mean + 1e-5))
      const from = workspace.put(x)
      workspace.kernels.rmsNorm(from, workspace.put(weight), size, 1e-5, from)
      expectNear(`size ${size}`, workspace.floats(from, size), wanted, 1e-6)
    }
  },
  'rotary turns pairs in halves by the tables'(workspace: Workspace): void {
    for (const size of [16, 64]) {
      const half = size / 2
      const x = new Random(size).floats(size)
      const angles = new Random(9).floats(half)
      const at = workspace.put(x)
      workspace.kernels.rotate(
        at,
        size,
        workspace.put(angles.map(Math.cos)),
        workspace.put(angles.map(Math.sin)),
      )
      const wanted = x.map((value, i) => {
        const angle = angles[i % half]!
        const other = i < half ? -x[i + half]! : x[i - half]!
        return value * Math.cos(angle) + other * Math.sin(angle)
      })
      expectNear(`size ${size}`, workspace.floats(at, size), wanted, 1e-6)
    }
  },
  'SwiGLU and GeGLU equal their formulas from −100 to 100'(workspace: Workspace): void {
    const gate = Float32Array.from({ length: 401 }, (_, i) => (i - 200) / 2)
    const up = new Random(3).floats(401)
    const silu = (x: number) => x / (1 + Math.exp(-x))
    const gelu = (x: number) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
    for (const [activation, f] of [
      [ACTIVATION.silu, silu],
      [ACTIVATION['gelu-tanh'], gelu],
    ] as const) {
      const at = workspace.put(gate)
      workspace.kernels.applyGate(activation, at, workspace.put(up), 401)
      const found = workspace.floats(at, 401)
      gate.forEach((x, i) => {
        const wanted = f(x) * up[i]!
        if (!(Math.abs(found[i]! - wanted) <= 1e-6 + 2e-6 * Math.abs(wanted)))
          throw new Error(`f(${x}) · ${up[i]} is ${found[i]}, not ${wanted}`)
      })
    }
  },
  'a soft cap equals cap · tanh(x / cap), and leaves what is behind'(workspace: Workspace): void {
    const x = Float32Array.from({ length: 31 }, (_, i) => (i - 15) ** 3)
    const at = workspace.put(x)
    workspace.kernels.softcap(at, 30, 30)
    const found = workspace.floats(at, 31)
    expectNear(
      'capped',
      found,
      [...x.subarray(0, 30).map((value) => 30 * Math.tanh(value / 30)), x[30]!],
      1e-6,
    )
    expectEqual('behind', found.subarray(30), x.subarray(30))
  },
  'the largest logits are picked as a sort would, lowest ids first among equals'(workspace: Workspace): void {
    const random = new Random(11)
    for (const count of [1, 3, 7, 512, 4099])
      for (const top of [1, 2, 5, 40]) {
        // Few different values: many ties. And some that are no numbers.
        const logits = Float32Array.from(random.ints(count, -20, 20), (value, i) =>
          i % 13 === 5 ? NaN : value,
        )
        const order = [...logits.keys()].filter((id) => !Number.isNaN(logits[id]))
        order.sort((a, b) => logits[b]! - logits[a]! || a - b)
        const wanted = order.slice(0, top).sort((a, b) => a - b)
        const ids = workspace.allocate(4 * top)
        const values = workspace.allocate(4 * top)
        workspace.kernels.selectTop(workspace.put(logits), count, top, ids, values)
        const missing = new Array<number>(top - wanted.length).fill(-1)
        expectEqual(`${top} of ${count}`, workspace.ints(ids, top), [...wanted, ...missing])
        expectEqual(
          `${top} of ${count}`,
          workspace.floats(values, top),
          wanted.map((id) => logits[id]!),
        )
      }
  },
}
