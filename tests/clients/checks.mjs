// A minimal test runner: each check has a name, a statement that must be true. As in checks.py, some cannot hold where
// the models are elsewhere.
const all = []
const left = []
const elsewhere = process.env.HEARTH_CLIENT_ELSEWHERE

export function check(name, body) {
  all.push({ name, body })
}

export function checkNotThrough(kinds, why, name, body) {
  if (kinds.includes(elsewhere)) left.push(`${name} (${why})`)
  else check(name, body)
}

export async function run(tested) {
  const subject = elsewhere ? `${tested} through ${elsewhere}` : tested
  for (const line of left) console.log(`out  ${subject}: ${line}`)
  let passed = 0
  for (const { name, body } of all) {
    try {
      await body()
      passed += 1
      console.log(`ok   ${subject}: ${name}`)
    } catch (error) {
      console.log(`FAIL ${subject}: ${name}\n${error.stack}`)
    }
  }
  console.log(`RESULT ${passed} ${all.length - passed}`)
  process.exit(passed === all.length ? 0 : 1)
}

export function same(left, right, tolerance = 1e-6) {
  if (left.length !== right.length) throw new Error(`${left.length} values, not ${right.length}`)
  const worst = Math.max(...left.map((value, i) => Math.abs(value - right[i])))
  if (!(worst <= tolerance)) throw new Error(`vectors differ by ${worst}`)
}

export function unitLength(vector) {
  const length = Math.hypot(...vector)
  if (Math.abs(length - 1) > 1e-4) throw new Error(`length ${length}`)
}

// The error `call` rejects with; it must match every field given.
export async function rejects(call, fields) {
  let error
  try {
    await call()
  } catch (caught) {
    error = caught
  }
  if (!error) throw new Error('an error was expected')
  for (const [name, value] of Object.entries(fields)) {
    if (error[name] !== value) throw new Error(`${name} is ${error[name]}, not ${value}: ${error}`)
  }
  return error
}
