import { defineConfig } from 'playwright/test'

export default defineConfig({
  fullyParallel: true,
  workers: 2,
  forbidOnly: true,
  reporter: [['list'], ['../packages/dev/src/totals-reporter.ts']],
  outputDir: '../test-results',
  timeout: 60_000,
  projects: [{ name: 'unit', testDir: 'unit' }],
})
