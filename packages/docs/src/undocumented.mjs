import { Application, ReflectionKind } from 'typedoc'

/**
 * A TypeDoc plugin: everything that a door exports has a comment. TypeDoc's own `notDocumented` looks only at the package that it runs in,
 * and our doors export what other rooms declare.
 */
export function load(app) {
  app.on(Application.EVENT_VALIDATE_PROJECT, (project) => {
    for (const reflection of project.getReflectionsByKind(KINDS))
      if (!isDocumented(reflection) && !isSaidBetweenWorkers(reflection))
        app.logger.validationWarning(`${reflection.getFriendlyFullName()} is exported and has no comment`)
  })
}

const KINDS =
  ReflectionKind.Class |
  ReflectionKind.Interface |
  ReflectionKind.TypeAlias |
  ReflectionKind.Variable |
  ReflectionKind.Function |
  ReflectionKind.Method

function isDocumented(reflection) {
  if (reflection.inheritedFrom !== undefined || isWithinType(reflection)) return true
  return reflection.hasComment() || (reflection.signatures ?? []).some((signature) => signature.hasComment())
}

/** Members of an object type without a name. */
function isWithinType({ parent }) {
  return parent?.kind === ReflectionKind.TypeLiteral
}

/** The control APIs of workers and hub: pages call `Client`, whose methods of the same names say what they do. */
function isSaidBetweenWorkers({ kind, parent }) {
  return kind === ReflectionKind.Method && /^(Engine|Hub|Models|Sessions)Api$/.test(parent?.name ?? '')
}
