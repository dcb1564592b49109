import { defineConfig } from 'playwright/test'

export default defineConfig({
  fullyParallel: true,
  forbidOnly: true,
  // Two: as many as the smallest machine that we support has cores.
  workers: 2,
  timeout: 60_000,
  reporter: [['list'], ['../packages/dev/src/totals-reporter.ts']],
  outputDir: '../test-results',
  globalSetup: './global-setup.ts',
  projects: [
    { name: 'unit', testDir: 'unit' },
    { name: 'browser', testDir: 'browser' },
    // One worker: packing and installing takes longer than all of its tests.
    { name: 'package', testDir: 'package', workers: 1, timeout: 120_000 },
  ],
})
